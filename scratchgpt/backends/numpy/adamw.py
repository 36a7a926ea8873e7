"""AdamW's update on several threads, a cache-sized block at a time, with a single scratch array."""

import math

import numpy as np

from scratchgpt.backends.numpy.workers import Workers
from scratchgpt.ops.updates.adamw import Update

ELEMENTS_PER_BLOCK = 1 << 18  # small enough that the chain of ufuncs stays in the last-level cache
MAX_PARTS = 8  # that `map` gets: one, or an even number of equal parts, which two threads share evenly


def update(step: Update, workers: Workers) -> None:
    """Update w, m and v in place; the formula is that of `ops.updates.adamw`."""
    size = step.w.size
    n_blocks = math.ceil(size / ELEMENTS_PER_BLOCK)
    n_parts = 1 if n_blocks == 1 else min(MAX_PARTS, n_blocks + n_blocks % 2)
    part = math.ceil(size / n_parts)

    def update_part(first: int) -> None:
        last = min(first + part, size)
        for start in range(first, last, ELEMENTS_PER_BLOCK):
            _update_block(step, start, min(start + ELEMENTS_PER_BLOCK, last))

    workers.map(update_part, range(0, size, part))


def _update_block(step: Update, first: int, last: int) -> None:
    """Update elements first to last, with m̂ / (√v̂ + eps) as c₂/c₁ · m / (√v + c₂ eps), c the corrections."""
    beta1, beta2 = step.betas
    lr, correction1, correction2 = (float(scalar) for scalar in step.scalars)
    w, g, m, v = step.w[first:last], step.g[first:last], step.m[first:last], step.v[first:last]
    g = g.astype(m.dtype, copy=False)
    decaying = w[: max(0, step.n_decaying - first)]
    decaying *= 1.0 - lr * step.weight_decay
    m *= beta1
    scratch = (1.0 - beta1) * g
    m += scratch
    v *= beta2
    np.multiply(g, g, out=scratch)
    scratch *= 1.0 - beta2
    v += scratch
    np.sqrt(v, out=scratch)
    scratch += correction2 * step.eps
    np.divide(m, scratch, out=scratch)
    scratch *= lr * correction2 / correction1
    w -= scratch
