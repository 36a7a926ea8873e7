"""The MLP layer: expand, apply GELU, contract, at each position separately."""

from typing import Any

from scratchgpt.config import GPTConfig
from scratchgpt.nn.context import Context
from scratchgpt.nn.layers.dropout import Dropout
from scratchgpt.nn.layers.linear import Linear
from scratchgpt.shapes import BTC


class MLP:
    """Two linear maps, C to F and F to C, with a GELU between them."""

    def __init__(self, name: str, config: GPTConfig, residual_std: float) -> None:
        C, F = config.n_embd, config.mlp_width
        self.activation = config.activation
        self.c_fc = Linear(f"{name}.c_fc", C, F, config.init_std, config.bias)
        self.c_proj = Linear(f"{name}.c_proj", F, C, residual_std, config.bias)
        self.dropout = Dropout(config.dropout)
        self.params = [*self.c_fc.params, *self.c_proj.params]

    def forward(self, ctx: Context, h: BTC) -> tuple[BTC, Any]:
        """Return the branch's output and what backward needs."""
        gelu = getattr(ctx.ops, self.activation)
        h, saved_c_fc = self.c_fc.forward(ctx, h)  # (B, T, F)
        h, saved_gelu = gelu.forward(h)
        h, saved_c_proj = self.c_proj.forward(ctx, h)  # (B, T, C)
        h, saved_dropout = self.dropout.forward(ctx, h)
        return h, (saved_c_fc, saved_gelu, saved_c_proj, saved_dropout)

    def backward(self, ctx: Context, saved: Any, dh: BTC) -> BTC:
        """Add the gradients of both maps; return the gradient of the branch's input."""
        gelu = getattr(ctx.ops, self.activation)
        saved_c_fc, saved_gelu, saved_c_proj, saved_dropout = saved
        dh = self.dropout.backward(ctx, saved_dropout, dh)
        dh = self.c_proj.backward(ctx, saved_c_proj, dh)  # (B, T, F)
        (dh,) = gelu.backward(saved_gelu, dh)
        return self.c_fc.backward(ctx, saved_c_fc, dh)  # (B, T, C)
