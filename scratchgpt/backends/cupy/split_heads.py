"""Queries, keys and values from the fused projection; backward knows when nothing has to be copied."""

from scratchgpt.ops import split_heads as textbook
from scratchgpt.ops.split_heads import Saved, forward
from scratchgpt.shapes import BHTD, QKV

__all__ = ["Saved", "backward", "forward"]


def backward(saved: Saved, dqkv: tuple[BHTD, BHTD, BHTD]) -> tuple[QKV]:
    """Return the gradient of the fused projection: the array that the three are views of, if there is one."""
    B, H, T, D = dqkv[0].shape
    whole = dqkv[0].base
    if whole is not None and whole.shape == (B, T, 3, H, D) and all(part.base is whole for part in dqkv):
        return (whole.reshape(B, T, 3 * H * D),)
    return textbook.backward(saved, dqkv)
