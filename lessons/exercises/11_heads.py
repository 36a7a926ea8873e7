"""Exercise 11: heads are a reshape.

    q[b, h, t, d] = qkv[b, t, h·D + d],  k: the same, offset by C channels,  v: by 2C
    merged[b, t, h·D + d] = heads[b, h, t, d]

No number changes, only its position: backward puts every gradient where its number came from.
"""

import numpy as np


def split_forward(qkv, n_head):
    """Split qkv (B, T, 3C) into the queries, keys and values of every head.

    Channels 0 to C - 1 are the queries, then come the keys, then the values. Within each third the first
    D = C / n_head channels belong to head 0, the next D to head 1, and so on.
    Returns ((q, k, v), saved): q, k, v have shape (B, n_head, T, D); saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def split_backward(saved, dqkv):
    """Return a tuple of one array, the gradient with respect to qkv (B, T, 3C), given dqkv = (dq, dk, dv).

    Each of these three has shape (B, n_head, T, D).
    """
    raise NotImplementedError  # your code goes here


def merge_forward(heads):
    """Concatenate the heads (B, H, T, D): head 0 in the first D channels, then head 1, and so on.

    Returns (y, saved): y has shape (B, T, H·D); saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def merge_backward(saved, dy):
    """Return (dheads,), of shape (B, H, T, D), given the upstream gradient dy (B, T, H·D)."""
    raise NotImplementedError  # your code goes here
