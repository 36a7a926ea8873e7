"""The unembedding layer: the head of the model."""

from typing import Any

from scratchgpt.context import Context
from scratchgpt.params import Param
from scratchgpt.shapes import BTC, AnyV


class Unembedding:
    """logits = x Wᵀ. A tied head is given the token embedding as its weight, and both add to its gradient."""

    def __init__(self, weight: Param) -> None:
        self.weight = weight
        self.params = [weight]

    def forward(self, ctx: Context, x: BTC) -> tuple[AnyV, Any]:
        """Return the logits (B, T, V) and what backward needs."""
        return ctx.ops.unembedding.forward(x, ctx.params[self.weight])

    def backward(self, ctx: Context, saved: Any, dlogits: AnyV) -> BTC:
        """Add dW, return dx."""
        dx, dweight = ctx.ops.unembedding.backward(saved, dlogits)
        ctx.grads[self.weight] += dweight
        return dx
