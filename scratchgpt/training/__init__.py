"""Training: the loop, one step of it, the state a checkpoint stores, settings, evaluation, and loggers."""
