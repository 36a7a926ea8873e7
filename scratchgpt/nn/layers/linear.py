"""The linear layer."""

from typing import Any

from scratchgpt.nn.context import Context
from scratchgpt.nn.params import Param
from scratchgpt.shapes import AnyI, AnyO


class Linear:
    """y = x W + b, with W of shape (n_in, n_out)."""

    def __init__(self, name: str, n_in: int, n_out: int, std: float, bias: bool) -> None:
        self.weight = Param(f"{name}.weight", (n_in, n_out), std=std)
        self.bias = Param(f"{name}.bias", (n_out,)) if bias else None
        self.params = [param for param in (self.weight, self.bias) if param]

    def forward(self, ctx: Context, x: AnyI) -> tuple[AnyO, Any]:
        """Return y and what backward needs."""
        bias = ctx.params[self.bias] if self.bias else None
        return ctx.ops.linear.forward(x, ctx.params[self.weight], bias)

    def backward(self, ctx: Context, saved: Any, dy: AnyO) -> AnyI:
        """Add dW and db; return dx."""
        dx, dweight, dbias = ctx.ops.linear.backward(saved, dy)
        ctx.grads.add(self.weight, dweight)
        if self.bias:
            ctx.grads.add(self.bias, dbias)
        return dx
