"""The embedding layer, the first of the model."""

from typing import Any

from scratchgpt.config import GPTConfig
from scratchgpt.nn.context import Context
from scratchgpt.nn.layers.dropout import Dropout
from scratchgpt.nn.params import Param
from scratchgpt.shapes import BTC, Tokens


class Embedding:
    """Token plus position embedding, then dropout."""

    def __init__(self, config: GPTConfig) -> None:
        self.wte = Param("wte.weight", (config.vocab_size, config.n_embd), std=config.init_std)
        self.wpe = Param("wpe.weight", (config.block_size, config.n_embd), std=config.init_std)
        self.dropout = Dropout(config.dropout)
        self.params = [self.wte, self.wpe]

    def forward(self, ctx: Context, tokens: Tokens) -> tuple[BTC, Any]:
        """Return the initial residual stream and what backward needs; column t of `tokens` is position t."""
        x, saved_embedding = ctx.ops.embedding.forward(tokens, ctx.params[self.wte], ctx.params[self.wpe])
        x, saved_dropout = self.dropout.forward(ctx, x)
        return x, (saved_embedding, saved_dropout)

    def forward_at(self, ctx: Context, tokens: Tokens, positions: Tokens) -> BTC:
        """Return the initial stream of tokens at the given positions (B, T), for generation."""
        in_one_row, wpe = tokens.reshape(1, -1), ctx.params[self.wpe][positions.reshape(-1)]
        x, _ = ctx.ops.embedding.forward(in_one_row, ctx.params[self.wte], wpe)
        return x.reshape(*tokens.shape, -1)

    def backward(self, ctx: Context, saved: Any, dx: BTC) -> None:
        """Add dwte and dwpe; token ids have no gradient, so nothing is returned."""
        saved_embedding, saved_dropout = saved
        dx = self.dropout.backward(ctx, saved_dropout, dx)
        dwte, dwpe = ctx.ops.embedding.backward(saved_embedding, dx)
        ctx.grads.add(self.wte, dwte)
        ctx.grads.add(self.wpe, dwpe)
