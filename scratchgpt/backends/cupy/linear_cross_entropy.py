"""The head and its loss in chunks of rows, in which logits become their own gradient."""

from typing import NamedTuple

import cupy
import numpy as np

from scratchgpt.backends.cupy.gemm import Gemm
from scratchgpt.backends.cupy.kernels import accumulator, contiguous, index, launch, size
from scratchgpt.backends.cupy.sums import total
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import VC, AnyC, AnyShape, Array

CHUNK = 1 << 29  # logits at a time, at most: 1 GiB in 16 bits
SHARE = 64  # of the GPU's memory, one part in so many is for logits
ROWS = 256  # of which the rows at a time are a multiple, if there are so many
ALIGNED = 64  # a row of logits begins at a multiple of so many elements, as tensor cores like it


class Saved(NamedTuple):
    """What backward needs: the gradients themselves, for dloss = 1."""

    dx: AnyC
    dweight: VC


class LinearCrossEntropy:
    """The pair.

    Args:
        gemm: multiplies.
        memory: bytes of the GPU.
        scale: an array of rank 0 that all gradients are multiplied by (loss scaling), or None.
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
        """Return the mean loss in nats; compute the gradients, if they are needed, while there are logits.

        `n_targets` may be an array of rank 0, which nobody waits for; then it is not looked at.
        """
        (V, C), acc = weight.shape, accumulator(x.dtype)
        rows = contiguous(x).reshape(-1, C)
        words = contiguous(targets.reshape(-1).astype(np.int32, copy=False))
        if n_targets is None:
            n_targets = int((targets != IGNORE_INDEX).sum())
        if not isinstance(n_targets, cupy.ndarray):
            if n_targets == 0:
                raise ValueError(
                    f"linear_cross_entropy: all {targets.size} targets are {IGNORE_INDEX} (ignored)"
                )
            n_targets = cupy.full((), n_targets, dtype=np.float64)
        stride = -(-V // ALIGNED) * ALIGNED
        step = max(1, min(CHUNK, self._memory // SHARE // x.itemsize) // stride)
        step = min(len(rows), step // ROWS * ROWS or step)
        logits = cupy.empty((step, stride), dtype=x.dtype)
        losses = cupy.empty(len(rows), dtype=acc)
        dx, dweight = cupy.empty_like(rows), cupy.empty(weight.shape, dtype=acc)
        for start in range(0, len(rows), step):
            chunk = slice(start, start + step)
            x_chunk = rows[chunk]
            z = self._gemm(x_chunk, weight, transpose_b=True, out=logits[: len(x_chunk), :V])
            launch(
                "cross_entropy.cu", "cross_entropy", x.dtype, (len(x_chunk),), (256 if V < 4096 else 1024,),
                (logits, words[chunk], losses[chunk], self._scale, index(V), size(stride), n_targets,
                 index(needs_backward)),
            )  # fmt: skip
            if needs_backward:  # z is dlogits from here on
                self._gemm(z, weight, out=dx[chunk])
                self._gemm(z, x_chunk, transpose_a=True, out=dweight, accumulate=start > 0)
        return total(losses), Saved(dx.reshape(x.shape), dweight) if needs_backward else None

    def backward(self, saved: Saved, dloss: float = 1.0) -> tuple[AnyC, VC]:
        """Return dx and dweight."""
        if dloss == 1.0:
            return saved
        return saved.dx * dloss, saved.dweight * dloss
