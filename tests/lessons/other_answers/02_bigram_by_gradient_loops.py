"""Loops over rows, plain Python numbers inside."""

import numpy as np


def forward(logits, targets):
    rows, flat = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    loss, saved = 0.0, []
    for row, target in zip(rows, flat, strict=True):
        top = max(row)
        weights = [np.exp(z - top) for z in row]
        loss += np.log(sum(weights)) - (row[target] - top)
        saved.append([weight / sum(weights) for weight in weights])
    return loss / len(flat), (saved, flat, logits.shape, logits.dtype)


def backward(saved, dloss=1.0):
    probs, targets, shape, dtype = saved
    rows = [list(row) for row in probs]
    for row, target in zip(rows, targets, strict=True):
        row[target] -= 1.0
    return (np.array(rows, dtype=dtype).reshape(shape) * (dloss / len(targets)),)
