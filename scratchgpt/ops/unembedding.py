"""The output head: logits = x Wᵀ, a score for every token of the vocabulary at every position.

W is (V, C), the shape of the token embedding, so the two can share one array (weight tying).
Source: Press and Wolf, "Using the Output Embedding to Improve Language Models" (2017),
https://arxiv.org/abs/1608.05859.
"""

from typing import NamedTuple

from scratchgpt.shapes import VC, AnyC, AnyV, Array


class Saved(NamedTuple):
    """What backward needs: the input for dW, the weight for dx."""

    x: AnyC
    weight: VC


def forward(x: AnyC, weight: VC) -> tuple[AnyV, Saved]:
    """Compute logits = x Wᵀ: logit v is the dot product of x with row v of the weight."""
    rows: Array = x.reshape(-1, x.shape[-1])  # (N, C)
    logits: Array = (rows @ weight.T).reshape(*x.shape[:-1], weight.shape[0])
    return logits, Saved(x, weight)


def backward(saved: Saved, dlogits: AnyV) -> tuple[AnyC, VC]:
    """Return dx = dlogits W and dweight = Σ_rows dlogitsᵀ x."""
    x, weight = saved
    rows: Array = x.reshape(-1, x.shape[-1])  # (N, C)
    drows: Array = dlogits.reshape(-1, dlogits.shape[-1])  # (N, V)
    dx: Array = (drows @ weight).reshape(x.shape)
    dweight: Array = drows.T @ rows
    return dx, dweight
