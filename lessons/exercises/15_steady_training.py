"""Exercise 15: gradient clipping, gradient accumulation and a learning-rate schedule."""

import math

import numpy as np


def clip(gradients, max_norm):
    """Scale a list of arrays by one factor, so that their global norm is at most max_norm.

    The global norm is the square root of the sum of the squares of all numbers in all arrays. If it is small
    enough, the arrays do not change. Returns (clipped, norm): a list of arrays, and the norm before clipping.
    """
    raise NotImplementedError  # your code goes here


def accumulate(parts, counts):
    """Return the gradient of a large batch, as a list of arrays, from the gradients of its micro-batches.

    parts[i] is the list of gradients of micro-batch i, of its mean loss over counts[i] targets. The result is
    the gradient of the mean loss over all targets of all micro-batches.
    """
    raise NotImplementedError  # your code goes here


def gradient_of_step(parts, counts, max_norm):
    """Return (gradients, norm): micro-batches accumulated, then clipped, and the norm before clipping."""
    raise NotImplementedError  # your code goes here


def learning_rate(step, *, peak, floor, warmup_steps, max_steps):
    """Return the learning rate of a step, counted from 0.

    It rises linearly from peak / warmup_steps at step 0 to peak at step warmup_steps - 1. From peak at step
    warmup_steps it falls along half a cosine to floor at step max_steps, and stays there.
    """
    raise NotImplementedError  # your code goes here
