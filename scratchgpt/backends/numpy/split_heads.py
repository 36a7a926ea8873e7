"""Queries, keys and values from the fused projection; backward copies only where it must."""

from scratchgpt.backends.packed_heads import packed
from scratchgpt.ops import split_heads as reference
from scratchgpt.ops.split_heads import Saved, forward
from scratchgpt.shapes import BHTD, QKV

__all__ = ["Saved", "backward", "forward"]


def backward(saved: Saved, dqkv: tuple[BHTD, BHTD, BHTD]) -> tuple[QKV]:
    """Return the gradient of the fused projection; no copy if the three are views of such an array."""
    whole = packed(dqkv, lambda array: int(array.ctypes.data))
    return reference.backward(saved, dqkv) if whole is None else (whole,)
