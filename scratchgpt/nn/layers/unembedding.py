"""The unembedding layer: the head of the model, which gives the logits or their loss."""

from typing import Any

from scratchgpt.nn.context import Context
from scratchgpt.nn.params import Param
from scratchgpt.shapes import BTC, AnyV, Array, Tokens


class Unembedding:
    """logits = x Wᵀ. The weight of a tied head is the token embedding; both uses add to its gradient."""

    def __init__(self, weight: Param) -> None:
        self.weight = weight
        self.params = [weight]

    def logits(self, ctx: Context, x: BTC) -> AnyV:
        """Return the logits (B, T, V)."""
        logits, _ = ctx.ops.unembedding.forward(x, ctx.params[self.weight])
        return logits

    def forward(self, ctx: Context, x: BTC, targets: Tokens, n_targets: int | None) -> tuple[Array, Any]:
        """Return the loss of the logits and what backward needs."""
        return ctx.ops.linear_cross_entropy.forward(
            x, ctx.params[self.weight], targets, n_targets, ctx.needs_backward
        )

    def backward(self, ctx: Context, saved: Any) -> BTC:
        """Add dW; return dx."""
        dx, dweight = ctx.ops.linear_cross_entropy.backward(saved)
        ctx.grads.add(self.weight, dweight)
        return dx
