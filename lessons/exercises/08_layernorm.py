"""Exercise 08: LayerNorm.

    μ = mean(x),  σ² = mean((x - μ)²) + eps,  x̂ = (x - μ) / σ,  y = x̂ ∘ weight + bias

Means are over the last axis. The variance is divided by C, not by C - 1, and eps is inside the square root.
"""

import numpy as np


def forward(x, weight, bias=None, eps=1e-5):
    """Normalize each row of x (..., C), then scale by weight (C,) and, unless it is None, add bias (C,).

    Returns (y, saved): y has the shape of x; saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dy):
    """Return (dx, dweight, dbias), the gradients of the loss, given the upstream gradient dy.

    dx has the shape of x, dweight and dbias have shape (C,); dbias is None if there was no bias.
    """
    raise NotImplementedError  # your code goes here
