"""A pair encoded as the number a V + b; probabilities by transposing; the NLL as an average of logarithms."""

from itertools import pairwise

import numpy as np


def count_pairs(tokens, vocab_size):
    pairs = tokens[:-1] * vocab_size + tokens[1:]
    return np.bincount(pairs, minlength=vocab_size**2).reshape(vocab_size, vocab_size)


def probabilities(counts, alpha):
    table = counts.astype(float) + alpha
    return (table.T / table.sum(axis=-1)).T


def nll(probs, tokens):
    return float(np.average([-np.log(probs[pair]) for pair in pairwise(tokens)]))
