"""Queries, keys and values from the fused projection; backward knows when nothing has to be copied."""

from scratchgpt.backends.cupy.kernels import address
from scratchgpt.ops import split_heads as textbook
from scratchgpt.ops.split_heads import Saved, forward
from scratchgpt.shapes import BHTD, QKV, Array

__all__ = ["Saved", "backward", "forward"]


def backward(saved: Saved, dqkv: tuple[BHTD, BHTD, BHTD]) -> tuple[QKV]:
    """Return the gradient of the fused projection: the array that the three are views of, if there is one."""
    B, H, T, D = dqkv[0].shape
    whole = dqkv[0].base
    if whole is not None and whole.shape == (B, T, 3, H, D):
        in_place = whole.transpose(2, 0, 3, 1, 4)  # 3 x (B, H, T, D), as attention's backward cuts it
        if all(_is_same(part, place) for part, place in zip(dqkv, in_place, strict=True)):
            return (whole.reshape(B, T, 3 * H * D),)
    return textbook.backward(saved, dqkv)


def _is_same(a: Array, b: Array) -> bool:
    """Return whether two arrays are the same numbers in the same memory."""
    return bool(
        address(a) == address(b) and a.strides == b.strides and a.shape == b.shape and a.dtype == b.dtype
    )
