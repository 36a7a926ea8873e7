"""The head and its loss in chunks of rows: never more than CHUNK logits at a time.

A chunk of logits becomes its own gradient in place, and goes into dx and dW before the next one comes.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.backends.numpy.filled import filled
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import VC, AnyC, AnyShape, Array

CHUNK = 13 << 20  # logits, 52 MiB in float32: 256 rows of GPT-2's vocabulary
WORDS = 4096  # rows of dW that one product adds to


class Saved(NamedTuple):
    """What backward needs: the gradients themselves, for dloss = 1."""

    dx: AnyC
    dweight: VC


def forward(
    x: AnyC, weight: VC, targets: AnyShape, n_targets: int | None = None, needs_backward: bool = True
) -> tuple[Array, Saved | None]:
    """Return the mean loss in nats, and with `needs_backward` the gradients: the logits are here only now."""
    (V, C), flat_targets = weight.shape, targets.reshape(-1)
    rows: Array = x.reshape(-1, C)
    valid: Array = flat_targets != IGNORE_INDEX
    n_targets = n_targets or int(np.count_nonzero(valid))
    if n_targets == 0:
        raise ValueError(f"linear_cross_entropy: all {targets.size} targets are {IGNORE_INDEX} (ignored)")
    words = np.where(valid, flat_targets, 0)
    share = (valid / n_targets).astype(x.dtype)  # of every row in the mean
    n_chunks = max(1, math.ceil(len(rows) * V / CHUNK))
    step = max(1, math.ceil(len(rows) / n_chunks))  # of one size: each chunk costs a pass over W and dW
    dx = np.empty(rows.shape, x.dtype)
    dweight = np.empty(weight.shape, x.dtype) if len(rows) else np.zeros(weight.shape, x.dtype)
    logits_chunk = np.empty((step, V), x.dtype)
    loss = 0.0
    for start in range(0, len(rows), step):
        chunk = slice(start, start + step)
        x_chunk, word, part = rows[chunk], words[chunk], share[chunk]
        z = logits_chunk[: len(x_chunk)]
        position = np.arange(len(z))
        np.matmul(x_chunk, weight.T, out=z)
        z -= z.max(axis=1, keepdims=True)
        at_target = z[position, word]
        np.exp(z, out=z)
        total = z @ filled((V,), 1.0, x.dtype)
        loss += float((np.log(total) - at_target) @ part)
        if needs_backward:
            z *= (part / total)[:, None]  # z is dlogits from here on
            z[position, word] -= part
            np.matmul(z, weight, out=dx[chunk])
            if start == 0:
                np.matmul(z.T, x_chunk, out=dweight)
            else:
                for first in range(0, V, WORDS):
                    dweight[first : first + WORDS] += z[:, first : first + WORDS].T @ x_chunk
    mean: Array = np.asarray(loss, dtype=x.dtype)
    return mean, Saved(dx.reshape(x.shape), dweight) if needs_backward else None


def backward(saved: Saved, dloss: float = 1.0) -> tuple[AnyC, VC]:
    """Return dx and dweight."""
    if dloss == 1.0:
        return saved
    return saved.dx * dloss, saved.dweight * dloss
