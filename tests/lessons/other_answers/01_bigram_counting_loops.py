"""Loops over pairs."""

import math
from itertools import pairwise

import numpy as np


def count_pairs(tokens, vocab_size):
    counts = [[0] * vocab_size for _ in range(vocab_size)]
    for a, b in pairwise(tokens):
        counts[a][b] += 1
    return np.array(counts)


def probabilities(counts, alpha):
    probs = np.zeros(counts.shape)
    for a, row in enumerate(counts):
        total = sum(count + alpha for count in row)
        for b, count in enumerate(row):
            probs[a, b] = (count + alpha) / total
    return probs


def nll(probs, tokens):
    total = 0.0
    for i in range(1, len(tokens)):
        total -= math.log(probs[tokens[i - 1], tokens[i]])
    return total / (len(tokens) - 1)
