"""Update rules of the optimizers, and gradient clipping. They have no backward, so they are not op pairs."""
