"""Another right answer to exercise 08: sums written as einsum, over flattened rows."""

import numpy as np


def forward(x, weight, bias=None, eps=1e-5):
    """Normalize with E[x²] of the centered rows, 2-dimensional inside."""
    rows = x.reshape(-1, x.shape[-1])
    C = rows.shape[1]
    centered = rows - np.einsum("nc->n", rows)[:, None] / C
    sigma = np.sqrt(np.einsum("nc,nc->n", centered, centered) / C + eps)
    normal = centered / sigma[:, None]
    y = np.einsum("nc,c->nc", normal, weight)
    y = y if bias is None else y + bias
    return y.reshape(x.shape), {"normal": normal, "sigma": sigma, "weight": weight, "bias": bias}


def backward(saved, dy):
    """Return the three gradients."""
    normal, sigma, weight = saved["normal"], saved["sigma"], saved["weight"]
    C = len(weight)
    rows = dy.reshape(-1, C)
    dweight = np.einsum("nc,nc->c", rows, normal)
    along_ones = np.einsum("nc,c->n", rows, weight) / C
    along_x = np.einsum("nc,c,nc->n", rows, weight, normal) / C
    dx = rows * weight - along_ones[:, None] - np.einsum("n,nc->nc", along_x, normal)
    dx = (dx / sigma[:, None]).reshape(dy.shape)
    return dx, dweight, None if saved["bias"] is None else np.einsum("nc->c", rows)
