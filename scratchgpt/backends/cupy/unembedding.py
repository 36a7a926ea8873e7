"""The output head for generation, with logits in float32 or wider."""

from scratchgpt.backends.cupy.gemm import Gemm
from scratchgpt.backends.cupy.kernels import accumulator
from scratchgpt.ops.unembedding import Saved
from scratchgpt.shapes import VC, AnyC, AnyV


class Unembedding:
    """The pair; `gemm` computes its matrix products."""

    def __init__(self, gemm: Gemm) -> None:
        self._gemm = gemm

    def forward(self, x: AnyC, weight: VC) -> tuple[AnyV, Saved]:
        """Compute logits = x Wᵀ."""
        logits = self._gemm(x.reshape(-1, x.shape[-1]), weight, transpose_b=True, dtype=accumulator(x.dtype))
        return logits.reshape(*x.shape[:-1], weight.shape[0]), Saved(x, weight)

    def backward(self, saved: Saved, dlogits: AnyV) -> tuple[AnyC, VC]:
        """Return dx = dlogits W and dweight = Σ_rows dlogitsᵀ x."""
        x, weight = saved
        rows = x.reshape(-1, x.shape[-1])
        drows = dlogits.reshape(-1, dlogits.shape[-1]).astype(x.dtype, copy=False)
        dx = self._gemm(drows, weight).reshape(x.shape)
        return dx, self._gemm(drows, rows, transpose_a=True, dtype=accumulator(x.dtype))
