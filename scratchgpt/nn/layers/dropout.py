"""The dropout layer."""

from typing import Any

from scratchgpt.nn.context import Context
from scratchgpt.shapes import AnyShape


class Dropout:
    """Drop elements with probability p in training; pass everything on in evaluation."""

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, ctx: Context, x: AnyShape) -> tuple[AnyShape, Any]:
        """Return x with elements dropped, and what backward needs."""
        return ctx.ops.dropout.forward(x, self.p, ctx.rng)

    def backward(self, ctx: Context, saved: Any, dy: AnyShape) -> AnyShape:
        """Return dx."""
        (dx,) = ctx.ops.dropout.backward(saved, dy)
        return dx
