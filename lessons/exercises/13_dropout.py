"""Exercise 13: inverted dropout.

    mask = 0 with probability p, else 1 / (1 - p)        y = x ∘ mask

Each forward pass draws a new mask, and the backward pass uses the same mask.
"""

import numpy as np


def forward(x, p, rng):
    """Drop each element of x (any shape) with probability p and scale up the others.

    Without a generator (rng is None, as in evaluation) or with p = 0, return x unchanged. Otherwise draw
    once, with rng.random(x.shape, dtype=np.float32), and drop the elements whose number is below p.

    Returns (y, saved): y has the shape and the dtype of x; saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dy):
    """Return (dx,), the gradient with respect to x in a tuple, given the upstream gradient dy."""
    raise NotImplementedError  # your code goes here
