"""The attention layer: fused q, k, v projection, causal attention in every head, output projection."""

from typing import Any

from scratchgpt.config import GPTConfig
from scratchgpt.nn.context import Context
from scratchgpt.nn.kv_cache import CacheSlots
from scratchgpt.nn.layers.dropout import Dropout
from scratchgpt.nn.layers.linear import Linear
from scratchgpt.shapes import BTC


class Attention:
    """Causal multi-head self-attention: the one place where positions exchange information."""

    def __init__(self, name: str, config: GPTConfig, residual_std: float) -> None:
        C = config.n_embd
        self.n_head = config.n_head
        self.p = config.dropout
        self.c_attn = Linear(f"{name}.c_attn", C, 3 * C, config.init_std, config.bias)
        self.c_proj = Linear(f"{name}.c_proj", C, C, residual_std, config.bias)
        self.dropout = Dropout(config.dropout)
        self.params = [*self.c_attn.params, *self.c_proj.params]

    def forward(self, ctx: Context, h: BTC) -> tuple[BTC, Any]:
        """Return the branch's output and what backward needs."""
        qkv, saved_c_attn = self.c_attn.forward(ctx, h)
        (q, k, v), saved_split = ctx.ops.split_heads.forward(qkv, self.n_head)
        heads, saved_attention = ctx.ops.attention.forward(q, k, v, self.p, ctx.rng)
        h, saved_merge = ctx.ops.merge_heads.forward(heads)
        h, saved_c_proj = self.c_proj.forward(ctx, h)
        h, saved_dropout = self.dropout.forward(ctx, h)
        return h, (saved_c_attn, saved_split, saved_attention, saved_merge, saved_c_proj, saved_dropout)

    def forward_cached(self, ctx: Context, h: BTC, layer: int, slots: CacheSlots) -> BTC:
        """Return the branch's output for the next tokens, which also attend to the cached ones."""
        qkv, _ = self.c_attn.forward(ctx, h)
        (q, k, v), _ = ctx.ops.split_heads.forward(qkv, self.n_head)
        heads = slots.attend(layer, ctx.ops.attention, q, k, v)
        h, _ = ctx.ops.merge_heads.forward(heads)
        h, _ = self.c_proj.forward(ctx, h)
        return h

    def backward(self, ctx: Context, saved: Any, dh: BTC) -> BTC:
        """Add the gradients of both projections; return the gradient of the branch's input."""
        saved_c_attn, saved_split, saved_attention, saved_merge, saved_c_proj, saved_dropout = saved
        dh = self.dropout.backward(ctx, saved_dropout, dh)
        dh = self.c_proj.backward(ctx, saved_c_proj, dh)
        (dheads,) = ctx.ops.merge_heads.backward(saved_merge, dh)
        dq, dk, dv = ctx.ops.attention.backward(saved_attention, dheads)
        (dqkv,) = ctx.ops.split_heads.backward(saved_split, (dq, dk, dv))
        return self.c_attn.backward(ctx, saved_c_attn, dqkv)
