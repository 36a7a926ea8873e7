"""Causal scaled dot-product attention, all heads at once.

    scores = q kᵀ / √D,  probs = softmax(scores, future masked with -inf),  y = dropout(probs) v

Source: Vaswani et al., "Attention Is All You Need" (2017), equation 1,
https://arxiv.org/abs/1706.03762.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.ops import dropout, softmax
from scratchgpt.ops.rng import UniformSource
from scratchgpt.shapes import BHSD, BHTD, BHTS, Array


class Saved(NamedTuple):
    """What backward needs: the inputs; the probabilities before dropout for dscores, and after it for dv."""

    q: BHTD
    k: BHSD
    v: BHSD
    softmax: softmax.Saved
    dropout: dropout.Saved
    probs_after_dropout: BHTS


def forward(
    q: BHTD, k: BHSD, v: BHSD, p: float = 0.0, rng: UniformSource | None = None
) -> tuple[BHTD, Saved]:
    """Average, for every query, the values at its own and earlier positions, weighted by similarity.

    With S > T keys, the queries are the last T of the S positions: query t sees keys 0 to S - T + t.
    If the entries of q and k are independent with mean 0 and variance 1, the scale 1/√D gives a score
    variance 1 for any D. A masked score is -inf, so its probability is exactly zero. `p` is the dropout rate
    of the probabilities; without `rng` it has no effect.
    """
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    scores = (q @ k.swapaxes(2, 3)) * (1.0 / math.sqrt(D))  # (B, H, T, S)
    visible = np.tri(T, S, S - T, dtype=bool, like=q)
    scores = np.where(visible, scores, -math.inf)
    probs, saved_softmax = softmax.forward(scores)
    probs_after_dropout, saved_dropout = dropout.forward(probs, p, rng)
    y: Array = probs_after_dropout @ v
    return y, Saved(q, k, v, saved_softmax, saved_dropout, probs_after_dropout)


def backward(saved: Saved, dy: BHTD) -> tuple[BHTD, BHSD, BHSD]:
    """Return dq, dk, dv.

    dv = probs_after_dropoutᵀ dy,  dprobs = dropout.backward(dy vᵀ),
    dscores = softmax.backward(dprobs),
    dq = dscores k / √D,  dk = dscoresᵀ q / √D. Masked positions need no special case: their
    probability is zero, and the softmax gradient has it as a factor.
    """
    q, k, v, saved_softmax, saved_dropout, probs_after_dropout = saved
    dv: Array = probs_after_dropout.swapaxes(2, 3) @ dy
    (dprobs,) = dropout.backward(saved_dropout, dy @ v.swapaxes(2, 3))
    (dscores,) = softmax.backward(saved_softmax, dprobs)
    dscores = dscores * (1.0 / math.sqrt(q.shape[3]))
    dq: Array = dscores @ k
    dk: Array = dscores.swapaxes(2, 3) @ q
    return dq, dk, dv
