"""Split the fused projection into queries, keys and values, one slice of channels per head.

The C channels of each third are H heads of D = C/H channels. Source: Vaswani et al., "Attention
Is All You Need" (2017), section 3.2.2, https://arxiv.org/abs/1706.03762; the order q, k, v
within the fused 3C channels is GPT-2's.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import BHTD, QKV, Array


class Saved(NamedTuple):
    """Nothing: backward is the inverse permutation, whatever the values."""


def forward(qkv: QKV, n_head: int) -> tuple[tuple[BHTD, BHTD, BHTD], Saved]:
    """Return q, k, v as views of `qkv`: the heads become a dimension, and nothing is copied."""
    B, T, C3 = qkv.shape
    D = C3 // 3 // n_head
    q, k, v = qkv.reshape(B, T, 3, n_head, D).transpose(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
    return (q, k, v), Saved()


def backward(saved: Saved, dqkv: tuple[BHTD, BHTD, BHTD]) -> tuple[QKV]:
    """Return the gradient of the fused projection: the adjoint of a permutation is its inverse."""
    B, H, T, D = dqkv[0].shape
    stacked: Array = np.stack([part.transpose(0, 2, 1, 3) for part in dqkv], axis=2)  # (B, T, 3, H, D)
    return (stacked.reshape(B, T, 3 * H * D),)
