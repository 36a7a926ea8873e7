"""Exercise 02: softmax cross-entropy.

    p = softmax(z),    loss = mean over rows of  ln Σ_v exp(z_v) - z_y,    dz = (p - onehot(y)) / N

z is a row of logits, y its target, N the number of rows. Take the logarithm of the sum, never of p.
"""

import numpy as np


def forward(logits, targets):
    """Return the mean of -ln p[target] over all rows, where p is the softmax of a row of logits.

    logits has shape (..., V); targets has shape (...) and holds integers from 0 to V - 1.
    Returns (loss, saved): loss is one number, in nats; saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dloss=1.0):
    """Return (dlogits,), the gradient with respect to the logits, given the upstream gradient dloss."""
    raise NotImplementedError  # your code goes here
