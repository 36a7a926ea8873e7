"""Output head and loss in chunks of rows, so that at most MAX_LOGITS_PER_CHUNK logits exist at a time.

The logits of a chunk are overwritten with their gradient, which is multiplied into dx and dW before the next
chunk is computed.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.backends.numpy.filled import filled
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import VC, AnyC, AnyShape, Array

MAX_LOGITS_PER_CHUNK = 13 << 20  # 52 MiB in float32: 256 rows of logits over GPT-2's vocabulary
VOCABULARY_ROWS_PER_PRODUCT = 4096  # rows of dW that one product adds to


class Saved(NamedTuple):
    """What backward needs: the gradients for dloss = 1, because the logits are gone by then."""

    dx: AnyC
    dweight: VC


def forward(
    x: AnyC, weight: VC, targets: AnyShape, n_targets: int | None = None, needs_backward: bool = True
) -> tuple[Array, Saved | None]:
    """Return the mean loss in nats; with `needs_backward`, compute the gradients while the logits exist."""
    (V, C), flat_targets = weight.shape, targets.reshape(-1)
    rows: Array = x.reshape(-1, C)
    valid: Array = flat_targets != IGNORE_INDEX
    n_targets = n_targets or int(np.count_nonzero(valid))
    if n_targets == 0:
        raise ValueError(f"linear_cross_entropy: all {targets.size} targets are {IGNORE_INDEX} (ignored)")
    ids = np.where(valid, flat_targets, 0)
    share = (valid / n_targets).astype(x.dtype)  # the weight of each row's loss in the mean
    n_chunks = max(1, math.ceil(len(rows) * V / MAX_LOGITS_PER_CHUNK))
    step = max(1, math.ceil(len(rows) / n_chunks))  # equal chunks, because each costs a pass over W and dW
    dx = np.empty(rows.shape, x.dtype)
    dweight = np.empty(weight.shape, x.dtype) if len(rows) else np.zeros(weight.shape, x.dtype)
    logits_chunk = np.empty((step, V), x.dtype)
    loss = 0.0
    for start in range(0, len(rows), step):
        chunk = slice(start, start + step)
        x_chunk, target, part = rows[chunk], ids[chunk], share[chunk]
        z = logits_chunk[: len(x_chunk)]
        position = np.arange(len(z))
        np.matmul(x_chunk, weight.T, out=z)
        z -= z.max(axis=1, keepdims=True)
        at_target = z[position, target]
        np.exp(z, out=z)
        total = z @ filled((V,), 1.0, x.dtype)
        loss += float((np.log(total) - at_target) @ part)
        if needs_backward:
            z *= (part / total)[:, None]  # from here on, z is dlogits
            z[position, target] -= part
            np.matmul(z, weight, out=dx[chunk])
            if start == 0:
                np.matmul(z.T, x_chunk, out=dweight)
            else:
                for first in range(0, V, VOCABULARY_ROWS_PER_PRODUCT):
                    block = slice(first, first + VOCABULARY_ROWS_PER_PRODUCT)
                    dweight[block] += z[:, block].T @ x_chunk
    mean: Array = np.asarray(loss, dtype=x.dtype)
    return mean, Saved(dx.reshape(x.shape), dweight) if needs_backward else None


def backward(saved: Saved, dloss: float = 1.0) -> tuple[AnyC, VC]:
    """Return dx and dweight: what forward computed, times dloss."""
    if dloss == 1.0:
        return saved
    return saved.dx * dloss, saved.dweight * dloss
