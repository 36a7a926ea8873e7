"""The dropout layer."""

from typing import Any

from scratchgpt.nn.context import Context
from scratchgpt.shapes import AnyShape


class Dropout:
    """In training, zero elements with probability p and scale the rest by 1/(1 - p); else do nothing."""

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, ctx: Context, x: AnyShape) -> tuple[AnyShape, Any]:
        """Return x with elements dropped (unchanged if ctx.rng is None), and what backward needs."""
        return ctx.ops.dropout.forward(x, self.p, ctx.rng)

    def backward(self, ctx: Context, saved: Any, dy: AnyShape) -> AnyShape:
        """Return dx."""
        (dx,) = ctx.ops.dropout.backward(saved, dy)
        return dx
