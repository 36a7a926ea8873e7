"""Counts as a product of one-hot matrices; the NLL as counts times logarithms."""

import numpy as np


def count_pairs(tokens, vocab_size):
    one_hot = np.eye(vocab_size)[tokens]
    return one_hot[:-1].T @ one_hot[1:]


def probabilities(counts, alpha):
    rows = np.einsum("ab->a", counts) + alpha * counts.shape[1]
    return (counts + alpha) / rows[:, None]


def nll(probs, tokens):
    counts = count_pairs(tokens, len(probs))
    return -np.einsum("ab,ab->", counts, np.log(probs)) / counts.sum()
