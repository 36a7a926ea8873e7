"""The transformer block, pre-norm as in GPT-2: x + attn(ln_1(x)), then x + mlp(ln_2(x))."""

import math
from typing import Any

from scratchgpt.config import GPTConfig
from scratchgpt.nn.context import Context
from scratchgpt.nn.kv_cache import CacheSlots
from scratchgpt.nn.layers.attention import Attention
from scratchgpt.nn.layers.layernorm import LayerNorm
from scratchgpt.nn.layers.mlp import MLP
from scratchgpt.shapes import BTC


class Block:
    """Two residual branches whose outputs are added to the stream x.

    The projections that write to the stream start smaller by a factor of 1/sqrt(2 n_layer), so the variance
    of the stream after the last block does not grow with depth (GPT-2 paper, section 2.3).
    """

    def __init__(self, name: str, config: GPTConfig) -> None:
        residual_std = config.init_std / math.sqrt(2 * config.n_layer)
        norm = (config.n_embd, config.layer_norm_epsilon, config.bias)
        self.ln_1 = LayerNorm(f"{name}.ln_1", *norm)
        self.attn = Attention(f"{name}.attn", config, residual_std)
        self.ln_2 = LayerNorm(f"{name}.ln_2", *norm)
        self.mlp = MLP(f"{name}.mlp", config, residual_std)
        self.params = [*self.ln_1.params, *self.attn.params, *self.ln_2.params, *self.mlp.params]

    def forward(self, ctx: Context, x: BTC) -> tuple[BTC, Any]:
        """Return the stream after both branches and what backward needs."""
        h, saved_ln_1 = self.ln_1.forward(ctx, x)
        h, saved_attn = self.attn.forward(ctx, h)
        x = x + h
        h, saved_ln_2 = self.ln_2.forward(ctx, x)
        h, saved_mlp = self.mlp.forward(ctx, h)
        x = x + h
        return x, (saved_ln_1, saved_attn, saved_ln_2, saved_mlp)

    def forward_cached(self, ctx: Context, x: BTC, layer: int, slots: CacheSlots) -> BTC:
        """Return the stream of the next tokens after both branches."""
        h, _ = self.ln_1.forward(ctx, x)
        x = x + self.attn.forward_cached(ctx, h, layer, slots)
        h, _ = self.ln_2.forward(ctx, x)
        h, _ = self.mlp.forward(ctx, h)
        return x + h

    def backward(self, ctx: Context, saved: Any, dx: BTC) -> BTC:
        """Add every gradient of the block; return the gradient of its input stream.

        The backward of a sum is a copy: dx goes into the branch and also straight to the input.
        """
        saved_ln_1, saved_attn, saved_ln_2, saved_mlp = saved
        dh = self.mlp.backward(ctx, saved_mlp, dx)
        dh = self.ln_2.backward(ctx, saved_ln_2, dh)
        dx = dx + dh
        dh = self.attn.backward(ctx, saved_attn, dx)
        dh = self.ln_1.backward(ctx, saved_ln_1, dh)
        dx = dx + dh
        return dx
