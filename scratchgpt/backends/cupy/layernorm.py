"""LayerNorm: forward in a single kernel, backward without atomic additions."""

from typing import NamedTuple

import cupy

from scratchgpt.backends.cupy.kernels import accumulator, blocks_for, contiguous, index, launch, number
from scratchgpt.backends.cupy.sums import n_partials, sum_partials
from scratchgpt.shapes import AnyC, Array, VectorC

ROWS_PER_BLOCK = 4  # one warp each


class Saved(NamedTuple):
    """What backward needs: the input, and every row's mean and 1/σ, from which x̂ is cheap to recompute."""

    x: AnyC
    mean: Array
    rstd: Array
    weight: VectorC
    has_bias: bool


def forward(x: AnyC, weight: VectorC, bias: VectorC | None = None, eps: float = 1e-5) -> tuple[AnyC, Saved]:
    """Normalize every row of `x` to mean 0 and variance 1, then scale by γ and shift by β."""
    x, weight = contiguous(x), contiguous(weight)
    C = x.shape[-1]
    N = x.size // C
    y = cupy.empty_like(x)
    mean, rstd = (cupy.empty(N, dtype=accumulator(x.dtype)) for _ in range(2))
    grid, block = (blocks_for(N, ROWS_PER_BLOCK),), (32 * ROWS_PER_BLOCK,)
    launch(
        "layernorm.cu", "layernorm_forward", x.dtype, grid, block,
        (x, weight, None if bias is None else contiguous(bias), y, mean, rstd, index(N), index(C),
         number(eps)),
    )  # fmt: skip
    return y, Saved(x, mean, rstd, weight, bias is not None)


def backward(saved: Saved, dy: AnyC) -> tuple[AnyC, VectorC, VectorC | None]:
    """Return dx, dweight, dbias (None without a bias); the last two in float32 or wider."""
    x, mean, rstd, weight, has_bias = saved
    dy = contiguous(dy)
    C = x.shape[-1]
    N = x.size // C
    dx = cupy.empty_like(x)
    grid, block = (blocks_for(N, ROWS_PER_BLOCK),), (32 * ROWS_PER_BLOCK,)
    arguments = (dy, x, weight, mean, rstd, dx, index(N), index(C))
    launch("layernorm.cu", "layernorm_backward", x.dtype, grid, block, arguments)
    weight_partials, bias_partials = (
        cupy.empty((n_partials(N), C), dtype=accumulator(x.dtype)) for _ in range(2)
    )
    launch(
        "layernorm.cu", "layernorm_weight_partials", x.dtype, (blocks_for(C, 32), n_partials(N)), (32, 8),
        (dy, x, mean, rstd, weight_partials, bias_partials, index(N), index(C)),
    )  # fmt: skip
    return dx, sum_partials(weight_partials), sum_partials(bias_partials) if has_bias else None
