"""Exercise 15: clipping, accumulation, and the learning rate over time."""

import math

import numpy as np


def clip(gradients, max_norm):
    """Scale a list of arrays together, so that their joint norm is at most max_norm.

    The joint norm is the root of the sum of the squares of all numbers in all arrays. Gradients that are
    small enough stay as they are. Returns (clipped, norm): a list of arrays, and the norm before clipping.
    """
    raise NotImplementedError  # your code goes here


def accumulate(parts, counts):
    """Return the gradient of a large batch, as a list of arrays, from those of its micro-batches.

    parts[i] is the list of gradients of micro-batch i, each of the mean loss over the counts[i] targets of
    that micro-batch. What is returned belongs to the mean loss over all targets of all micro-batches.
    """
    raise NotImplementedError  # your code goes here


def gradient_of_step(parts, counts, max_norm):
    """Return (gradients, norm): what the optimizer gets from micro-batches, clipped, and the norm before."""
    raise NotImplementedError  # your code goes here


def learning_rate(step, *, peak, floor, warmup_steps, max_steps):
    """Return the learning rate of a step, counted from 0.

    It climbs in a straight line: peak / warmup_steps in step 0, peak in step warmup_steps - 1. From peak in
    step warmup_steps it falls along half a cosine to floor in step max_steps, and is floor from there on.
    """
    raise NotImplementedError  # your code goes here
