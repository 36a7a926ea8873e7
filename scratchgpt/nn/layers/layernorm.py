"""The LayerNorm layer."""

from typing import Any

from scratchgpt.nn.context import Context
from scratchgpt.nn.params import Param
from scratchgpt.shapes import AnyC


class LayerNorm:
    """Normalize each row to mean 0 and variance 1, then scale by γ and shift by β."""

    def __init__(self, name: str, n_embd: int, eps: float, bias: bool) -> None:
        self.eps = eps
        self.weight = Param(f"{name}.weight", (n_embd,), mean=1.0)
        self.bias = Param(f"{name}.bias", (n_embd,)) if bias else None
        self.params = [param for param in (self.weight, self.bias) if param]

    def forward(self, ctx: Context, x: AnyC) -> tuple[AnyC, Any]:
        """Return the normalized x and what backward needs."""
        bias = ctx.params[self.bias] if self.bias else None
        return ctx.ops.layernorm.forward(x, ctx.params[self.weight], bias, self.eps)

    def backward(self, ctx: Context, saved: Any, dy: AnyC) -> AnyC:
        """Add dγ and dβ; return dx."""
        dx, dweight, dbias = ctx.ops.layernorm.backward(saved, dy)
        ctx.grads.add(self.weight, dweight)
        if self.bias:
            ctx.grads.add(self.bias, dbias)
        return dx
