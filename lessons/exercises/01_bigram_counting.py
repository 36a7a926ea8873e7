"""Exercise 01: a bigram model by counting.

    P[a, b] = (counts[a, b] + α) / Σ_b (counts[a, b] + α),    NLL = mean of -ln P[a, b] over all pairs

A pair is a token a and the token b right after it; a text of N tokens has N - 1 pairs.
"""

import numpy as np


def count_pairs(tokens, vocab_size):
    """Count how often each token follows each other token.

    tokens (N,) holds integers from 0 to vocab_size - 1. Returns an array (V, V): row a, column b holds how
    many times b comes right after a.
    """
    raise NotImplementedError  # your code goes here


def probabilities(counts, alpha):
    """Turn counts (V, V) into probabilities (V, V): add alpha to every count, then make each row sum to 1."""
    raise NotImplementedError  # your code goes here


def nll(probs, tokens):
    """Return the mean of -ln probs[a, b] over all pairs (a, b) of tokens (N,): one number, in nats."""
    raise NotImplementedError  # your code goes here
