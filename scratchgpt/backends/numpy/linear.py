"""The affine map, with the bias gradient as a matrix product: `ones @ dy` is faster than `sum`."""

from scratchgpt.backends.numpy.filled import filled
from scratchgpt.ops.linear import Saved, forward
from scratchgpt.shapes import IO, AnyI, AnyO, Array, VectorO

__all__ = ["Saved", "backward", "forward"]


def backward(saved: Saved, dy: AnyO) -> tuple[AnyI, IO, VectorO | None]:
    """Return dx, dweight, dbias (None without a bias)."""
    x, weight, has_bias = saved
    rows: Array = x.reshape(-1, x.shape[-1])  # (N, I)
    drows: Array = dy.reshape(-1, dy.shape[-1])  # (N, O)
    dx: Array = (drows @ weight.T).reshape(x.shape)
    dweight: Array = rows.T @ drows
    dbias: Array | None = filled((len(drows),), 1.0, dy.dtype) @ drows if has_bias else None
    return dx, dweight, dbias
