"""The whole model: GPT-2 from tokens to loss, and the gradient back."""

from collections import Counter
from typing import Any

from scratchgpt.config import GPTConfig
from scratchgpt.nn.context import Context
from scratchgpt.nn.kv_cache import CacheSlots
from scratchgpt.nn.layers import AdaptiveHead, Block, Embedding, LayerNorm, RecomputedBlock, Unembedding
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.shapes import BTC, AnyV, Array, Tokens


class GPT:
    """The structure of a GPT: layers and parameter handles, but no arrays.

    Source: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), with the
    parameter names and shapes of its released checkpoints.

    Args:
        config: the sizes and variants of its layers.
        recompute: activation checkpointing: backward computes each block's activations again instead of
            keeping them in memory. The gradients are the same, so it is not part of the saved
            configuration.

    Attributes:
        config: the sizes and variants of its layers.
        recompute: whether blocks use activation checkpointing.
        params: the handle of every parameter, once each, in the order of the forward pass.
        n_uses: how often a pass uses each parameter, keyed by name: twice for the weight of a tied
            head. Gradients of several uses are added.
        size: total number of values of all parameters.
    """

    def __init__(self, config: GPTConfig, *, recompute: bool = False) -> None:
        self.config = config
        self.recompute = recompute
        self.embedding = Embedding(config)
        kind = RecomputedBlock if recompute else Block
        self.blocks = [kind(f"h.{i}", config) for i in range(config.n_layer)]
        self.ln_f = LayerNorm("ln_f", config.n_embd, config.layer_norm_epsilon, config.bias)
        wte = self.embedding.wte
        self.lm_head: AdaptiveHead | Unembedding
        if config.adaptive_cutoffs:
            self.lm_head = AdaptiveHead(config)
        elif config.tie_weights:
            self.lm_head = Unembedding(wte)
        else:
            self.lm_head = Unembedding(Param("lm_head.weight", wte.shape, std=config.init_std))
        handles = [*self.embedding.params]
        for block in self.blocks:
            handles += block.params
        handles += [*self.ln_f.params, *self.lm_head.params]
        self.params = tuple(dict.fromkeys(handles))  # a tied head's weight is wte, which counts once
        self.n_uses = Counter(param.name for param in handles)
        self.size = sum(param.size for param in self.params)

    def init(self, seed: int = 1337, dtype: str = "float32") -> ParamVector:
        """Return newly drawn initial weights; the same seed always gives the same weights."""
        return ParamVector.initial(self.params, seed, dtype)

    def forward(
        self, ctx: Context, tokens: Tokens, targets: Tokens, n_targets: int | None = None
    ) -> tuple[Array, list[Any]]:
        """Return the loss of the targets (B, T) and what backward needs: a stack with one entry per layer.

        The loss is the sum of the cross-entropies divided by `n_targets`; None divides by the number of
        targets that count, which gives the mean.
        """
        x, saved = self.features(ctx, tokens)
        loss, saved_lm_head = self.lm_head.forward(ctx, x, targets, n_targets)
        return loss, [*saved, saved_lm_head]

    def backward(self, ctx: Context, saved: list[Any]) -> None:
        """Add the gradient of every parameter into ctx.grads.

        Each layer's entry is popped off the stack, so its memory is freed as soon as it has been used.
        """
        dx = self.lm_head.backward(ctx, saved.pop())
        dx = self.ln_f.backward(ctx, saved.pop(), dx)
        for block in reversed(self.blocks):
            dx = block.backward(ctx, saved.pop(), dx)
        self.embedding.backward(ctx, saved.pop(), dx)

    def features(self, ctx: Context, tokens: Tokens) -> tuple[BTC, list[Any]]:
        """Return the features (the normalized stream after the last block) and what backward needs."""
        saved = []
        x, saved_embedding = self.embedding.forward(ctx, tokens)
        saved.append(saved_embedding)
        for block in self.blocks:
            x, saved_block = block.forward(ctx, x)
            saved.append(saved_block)
        x, saved_ln_f = self.ln_f.forward(ctx, x)
        saved.append(saved_ln_f)
        return x, saved

    def logits(self, ctx: Context, tokens: Tokens) -> AnyV:
        """Return the logits (B, T, V).

        logits[b, t] scores the token after tokens[b, t] and depends only on tokens[b, :t+1].
        """
        x, _ = self.features(ctx, tokens)
        return self.lm_head.logits(ctx, x)

    def next_logits(self, ctx: Context, tokens: Tokens, slots: CacheSlots) -> AnyV:
        """Return the logits (B, 1, V) after the last of the tokens (B, T), which continue the cached ones."""
        x = self.embedding.forward_at(ctx, tokens, slots.positions)
        for layer, block in enumerate(self.blocks):
            x = block.forward_cached(ctx, x, layer, slots)
        slots.commit()
        x, _ = self.ln_f.forward(ctx, x[:, -1:])
        return self.lm_head.logits(ctx, x)
