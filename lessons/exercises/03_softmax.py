"""Exercise 03: softmax.

    p_i = exp(x_i) / Σ_j exp(x_j),    dx = p ∘ (dp - Σ_j p_j dp_j)

Sums are over the last axis. Subtract each row's maximum before exp.
"""

import numpy as np


def forward(x):
    """Turn each row of scores x (..., M) into probabilities, which sum to 1 over the last axis.

    A score of -inf becomes probability 0. Returns (probs, saved): saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dprobs):
    """Return (dx,), the gradient with respect to the scores, given the upstream gradient dprobs (..., M)."""
    raise NotImplementedError  # your code goes here
