"""The answer to exercise 01: a bigram model by counting.

    P[a, b] = (counts[a, b] + α) / Σ_b (counts[a, b] + α),    NLL = mean of -ln P[a, b] over all pairs

A pair is a token a and the token b right after it; a text of N tokens has N - 1 pairs.
"""

import numpy as np


def count_pairs(tokens, vocab_size):
    """Count how often each token follows each other token.

    tokens (N,) holds integers from 0 to vocab_size - 1. Returns an array (V, V): row a, column b holds how
    many times b comes right after a.
    """
    counts = np.zeros((vocab_size, vocab_size), dtype=np.int64)
    current, following = tokens[:-1], tokens[1:]
    np.add.at(counts, (current, following), 1)
    return counts


def probabilities(counts, alpha):
    """Turn counts (V, V) into probabilities (V, V): add alpha to every count, then make each row sum to 1."""
    smoothed = counts + alpha
    totals = smoothed.sum(axis=1, keepdims=True)
    return smoothed / totals


def nll(probs, tokens):
    """Return the mean of -ln probs[a, b] over all pairs (a, b) of tokens (N,): one number, in nats."""
    likelihoods = probs[tokens[:-1], tokens[1:]]
    return -np.log(likelihoods).mean()
