"""AdamW's update by several threads, a block at a time, with one array for everything in between."""

import math

import numpy as np

from scratchgpt.backends.numpy.workers import Workers
from scratchgpt.ops.updates.adamw import Update

BLOCK = 1 << 18  # elements updated at a time, so that a chain of ufuncs stays in the last-level cache
PARTS = 8  # of the vectors, at most; more than one are equal, and an even number, which two threads share


def update(step: Update, workers: Workers) -> None:
    """Update w, m and v in place; the formula is the textbook's, `ops.adamw.update`."""
    size = step.w.size
    n_blocks = math.ceil(size / BLOCK)
    n_parts = 1 if n_blocks == 1 else min(PARTS, n_blocks + n_blocks % 2)
    part = math.ceil(size / n_parts)

    def update_part(first: int) -> None:
        last = min(first + part, size)
        for start in range(first, last, BLOCK):
            _update_block(step, start, min(start + BLOCK, last))

    workers.map(update_part, range(0, size, part))


def _update_block(step: Update, first: int, last: int) -> None:
    """Update the elements first to last; m̂ / (√v̂ + eps) is c₂/c₁ · m / (√v + c₂ eps), c the corrections."""
    beta1, beta2 = step.betas
    lr, correction1, correction2 = (float(scalar) for scalar in step.scalars)
    w, g, m, v = step.w[first:last], step.g[first:last], step.m[first:last], step.v[first:last]
    g = g.astype(m.dtype, copy=False)
    decaying = w[: max(0, step.n_decaying - first)]
    decaying *= 1.0 - lr * step.weight_decay
    m *= beta1
    between = (1.0 - beta1) * g
    m += between
    v *= beta2
    np.multiply(g, g, out=between)
    between *= 1.0 - beta2
    v += between
    np.sqrt(v, out=between)
    between += correction2 * step.eps
    np.divide(m, between, out=between)
    between *= lr * correction2 / correction1
    w -= between
