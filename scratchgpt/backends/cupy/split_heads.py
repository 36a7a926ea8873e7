"""Queries, keys and values from the fused projection; backward knows when nothing has to be copied."""

from scratchgpt.backends.cupy.kernels import address
from scratchgpt.backends.packed_heads import packed
from scratchgpt.ops import split_heads as textbook
from scratchgpt.ops.split_heads import Saved, forward
from scratchgpt.shapes import BHTD, QKV

__all__ = ["Saved", "backward", "forward"]


def backward(saved: Saved, dqkv: tuple[BHTD, BHTD, BHTD]) -> tuple[QKV]:
    """Return the gradient of the fused projection: the array that the three are views of, if there is one."""
    whole = packed(dqkv, address)
    return textbook.backward(saved, dqkv) if whole is None else (whole,)
