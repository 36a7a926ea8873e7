"""Output head and loss in chunks of rows; the logits of a chunk are overwritten with their gradient."""

from typing import NamedTuple

import cupy
import numpy as np

from scratchgpt.backends.cupy.gemm import Gemm
from scratchgpt.backends.cupy.kernels import accumulator, contiguous, index, launch, size
from scratchgpt.backends.cupy.sums import total
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import VC, AnyC, AnyShape, Array

MAX_LOGITS_PER_CHUNK = 1 << 29  # 1 GiB in 16 bits
LOGITS_MEMORY_DIVISOR = 64  # logits take at most 1/64 of the GPU's memory
ROWS_MULTIPLE = 256  # a chunk has a multiple of 256 rows, if it has that many
LOGITS_ALIGNMENT = 64  # elements: each row of logits begins at a multiple of 64, which suits tensor cores


class Saved(NamedTuple):
    """What backward needs: the gradients for dloss = 1, because the logits are gone by then."""

    dx: AnyC
    dweight: VC


class LinearCrossEntropy:
    """The pair.

    Args:
        gemm: computes matrix products.
        memory: the GPU's memory in bytes.
        scale: the loss scale, an array of rank 0 by which all gradients are multiplied; None means 1.
    """

    def __init__(self, gemm: Gemm, memory: int, scale: Array | None = None) -> None:
        self._gemm = gemm
        self._memory = memory
        self._scale = scale

    def forward(
        self,
        x: AnyC,
        weight: VC,
        targets: AnyShape,
        n_targets: int | Array | None = None,
        needs_backward: bool = True,
    ) -> tuple[Array, Saved | None]:
        """Return the mean loss in nats; with `needs_backward`, compute the gradients while the logits exist.

        `n_targets` may be a device array of rank 0. Reading it on the host would wait for the device, so it
        is not checked.
        """
        (V, C), acc = weight.shape, accumulator(x.dtype)
        rows = contiguous(x).reshape(-1, C)
        ids = contiguous(targets.reshape(-1).astype(np.int32, copy=False))
        if n_targets is None:
            n_targets = int((targets != IGNORE_INDEX).sum())
        if not isinstance(n_targets, cupy.ndarray):
            if n_targets == 0:
                raise ValueError(
                    f"linear_cross_entropy: all {targets.size} targets are {IGNORE_INDEX} (ignored)"
                )
            n_targets = cupy.full((), n_targets, dtype=np.float64)
        stride = -(-V // LOGITS_ALIGNMENT) * LOGITS_ALIGNMENT
        n_logits = min(MAX_LOGITS_PER_CHUNK, self._memory // LOGITS_MEMORY_DIVISOR // x.itemsize)
        step = max(1, n_logits // stride)
        step = min(len(rows), step // ROWS_MULTIPLE * ROWS_MULTIPLE or step)
        logits = cupy.empty((step, stride), dtype=x.dtype)
        losses = cupy.empty(len(rows), dtype=acc)
        dx, dweight = cupy.empty_like(rows), cupy.empty(weight.shape, dtype=acc)
        for start in range(0, len(rows), step):
            chunk = slice(start, start + step)
            x_chunk = rows[chunk]
            z = self._gemm(x_chunk, weight, transpose_b=True, out=logits[: len(x_chunk), :V])
            launch(
                "cross_entropy.cu", "cross_entropy", x.dtype, (len(x_chunk),), (256 if V < 4096 else 1024,),
                (logits, ids[chunk], losses[chunk], self._scale, index(V), size(stride), n_targets,
                 index(needs_backward)),
            )  # fmt: skip
            if needs_backward:  # from here on, z is dlogits
                self._gemm(z, weight, out=dx[chunk])
                self._gemm(z, x_chunk, transpose_a=True, out=dweight, accumulate=start > 0)
        return total(losses), Saved(dx.reshape(x.shape), dweight) if needs_backward else None

    def backward(self, saved: Saved, dloss: float = 1.0) -> tuple[AnyC, VC]:
        """Return dx and dweight: what forward computed, times dloss."""
        if dloss == 1.0:
            return saved
        return saved.dx * dloss, saved.dweight * dloss
