"""Concatenate the outputs of the heads: (B, H, T, D) becomes (B, T, C), with C = H·D.

Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.2.2,
https://arxiv.org/abs/1706.03762.
"""

from typing import NamedTuple

from scratchgpt.shapes import BHTD, BTC, Array


class Saved(NamedTuple):
    """What backward needs: how many heads to split the channels into."""

    n_head: int


def forward(heads: BHTD) -> tuple[BTC, Saved]:
    """Concatenate the heads of each position along the channels: head h gets channels hD to (h+1)D - 1."""
    B, H, T, D = heads.shape
    y: Array = heads.transpose(0, 2, 1, 3).reshape(B, T, H * D)
    return y, Saved(H)


def backward(saved: Saved, dy: BTC) -> tuple[BHTD]:
    """Return dheads: the adjoint of a permutation is its inverse."""
    B, T, C = dy.shape
    H = saved.n_head
    return (dy.reshape(B, T, H, C // H).transpose(0, 2, 1, 3),)
