"""Exercise 13: inverted dropout.

    mask = 0 with probability p, else 1 / (1 - p)        y = x ∘ mask

The mask is drawn anew in every forward pass, and the backward pass uses that very mask.
"""

import numpy as np


def forward(x, p, rng):
    """Drop each element of x (any shape) with probability p and scale up the others.

    Without a generator (rng is None: evaluation) or with p = 0, x is passed on as it is. Otherwise draw once,
    with rng.random(x.shape, dtype=np.float32), and drop the elements whose number is below p.

    Returns (y, saved): y has the shape and the type of x; saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dy):
    """Return (dx,), the gradient of the loss by x in a tuple, given dy, its gradient by y."""
    raise NotImplementedError  # your code goes here
