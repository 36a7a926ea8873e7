"""Exercise 05 with sorted segments: equal tokens brought together, then each run summed."""

import numpy as np


def forward(tokens, wte, wpe):
    x = np.take(wte, tokens, axis=0)
    x += wpe[None, : tokens.shape[1]]
    return x, {"tokens": tokens, "like": (wte, wpe)}


def backward(saved, dx):
    wte, wpe = saved["like"]
    ids = saved["tokens"].ravel()
    order = np.argsort(ids, kind="stable")
    present, first = np.unique(ids[order], return_index=True)
    dwte = np.zeros_like(wte)
    dwte[present] = np.add.reduceat(dx.reshape(-1, dx.shape[-1])[order], first, axis=0)
    rest = np.zeros((len(wpe) - dx.shape[1], dx.shape[-1]), dtype=dx.dtype)
    return dwte, np.concatenate([dx.sum(axis=0), rest])
