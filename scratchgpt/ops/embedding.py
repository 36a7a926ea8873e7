"""Token and position embedding: x = wte[tokens] + wpe[0..T-1].

A lookup is a product with one-hot rows, so its adjoint adds each position's gradient to the
table row it was looked up from. Source: Radford et al., "Improving Language Understanding by
Generative Pre-Training" (2018), equation 2.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import BTC, PC, VC, Array, Tokens


class Saved(NamedTuple):
    """What backward needs: which rows were looked up (`tokens`); the tables only for their shapes."""

    tokens: Tokens
    wte: VC
    wpe: PC


def forward(tokens: Tokens, wte: VC, wpe: PC) -> tuple[BTC, Saved]:
    """Look up each token's row and add the row of its position.

    `wte` is (V, C), one row per token id; `wpe` is (P, C), one row per position, with P >= T.
    """
    T = tokens.shape[1]
    x: Array = wte[tokens] + wpe[:T]
    return x, Saved(tokens, wte, wpe)


def backward(saved: Saved, dx: BTC) -> tuple[VC, PC]:
    """Return dwte and dwpe.

    dwte[v] = Σ dx[b, t] over all (b, t) with tokens[b, t] = v: repeated tokens add up, absent
    tokens get zero. dwpe[t] = Σ_b dx[b, t]; positions from T on get zero.
    """
    tokens, wte, wpe = saved
    dwte = np.zeros_like(wte)
    np.add.at(dwte, tokens, dx)  # `dwte[tokens] += dx` would count a repeated token only once
    dwpe = np.zeros_like(wpe)
    dwpe[: tokens.shape[1]] = dx.sum(axis=0)
    return dwte, dwpe
