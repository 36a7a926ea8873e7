"""Exercise 04 with the bias as one more row of the weight, and a 1 as one more input."""

import numpy as np


def forward(x, weight, bias=None):
    rows = x.reshape(-1, x.shape[-1])
    table = weight
    if bias is not None:
        rows = np.concatenate([rows, np.ones_like(rows[:, :1])], axis=1)
        table = np.concatenate([weight, bias[None]], axis=0)
    return (rows @ table).reshape(*x.shape[:-1], weight.shape[1]), (rows, table, x.shape, bias is not None)


def backward(saved, dy):
    rows, table, shape, has_bias = saved
    drows = dy.reshape(len(rows), -1)
    dx = (drows @ table.T)[:, : shape[-1]].reshape(shape)
    dtable = rows.T @ drows
    return (dx, dtable[:-1], dtable[-1]) if has_bias else (dx, dtable, None)
