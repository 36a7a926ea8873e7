"""Exercise 05: token and position embedding.

    x[b, t] = wte[tokens[b, t]] + wpe[t]

A token may occur many times or never. Positions start at 0 in every sequence.
"""

import numpy as np


def forward(tokens, wte, wpe):
    """Look up the row of each token (B, T) in wte (V, C) and add the row of its position in wpe (P, C).

    P is at least T. Returns (x, saved): x has shape (B, T, C); saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dx):
    """Return (dwte, dwpe), the gradients of the loss, given the upstream gradient dx (B, T, C).

    They have the shapes of wte and wpe. Tokens have no gradient: an id cannot change by a little.
    """
    raise NotImplementedError  # your code goes here
