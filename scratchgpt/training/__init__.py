"""What happens between two checkpoints: the step, its state, evaluation, and what is measured meanwhile."""
