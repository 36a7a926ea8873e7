"""The affine map; the kernel of the matrix product also adds the bias, where it can."""

from scratchgpt.backends.cupy.gemm import Gemm
from scratchgpt.backends.cupy.kernels import accumulator, contiguous
from scratchgpt.backends.cupy.sums import column_sums
from scratchgpt.ops.linear import Saved
from scratchgpt.shapes import IO, AnyI, AnyO, VectorO


class Linear:
    """The pair; `gemm` computes its matrix products."""

    def __init__(self, gemm: Gemm) -> None:
        self._gemm = gemm

    def forward(self, x: AnyI, weight: IO, bias: VectorO | None = None) -> tuple[AnyO, Saved]:
        """Map every row of `x` from I to O features: y = x W + b."""
        y = self._gemm(x.reshape(-1, x.shape[-1]), weight, bias=None if bias is None else contiguous(bias))
        return y.reshape(*x.shape[:-1], weight.shape[1]), Saved(x, weight, bias is not None)

    def backward(self, saved: Saved, dy: AnyO) -> tuple[AnyI, IO, VectorO | None]:
        """Return dx, dweight, dbias (None without a bias); the last two in float32 or wider."""
        x, weight, has_bias = saved
        rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
        dx = self._gemm(drows, weight, transpose_b=True).reshape(x.shape)
        dweight = self._gemm(rows, drows, transpose_a=True, dtype=accumulator(dy.dtype))
        return dx, dweight, column_sums(drows) if has_bias else None
