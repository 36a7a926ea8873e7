"""One new token of one text: `GPT.next_logits` on vectors (C,) instead of arrays (B, T, C)."""

from typing import NamedTuple

from scratchgpt.backends.base import RowOps
from scratchgpt.nn.context import Context
from scratchgpt.nn.kv_cache import KVCache
from scratchgpt.nn.layers import Block, LayerNorm, Linear
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array, VectorC


class Values(NamedTuple):
    """The arrays of a layer: its weight, and its bias or None."""

    weight: Array
    bias: Array | None

    @classmethod
    def of(cls, layer: Linear | LayerNorm, params: ParamVector) -> "Values":
        """Look up the arrays of a layer."""
        return cls(params[layer.weight], params[layer.bias] if layer.bias else None)


class BlockValues(NamedTuple):
    """The arrays of a block's layers, in the order of the forward pass."""

    ln_1: Values
    c_attn: Values
    attn_c_proj: Values
    ln_2: Values
    c_fc: Values
    mlp_c_proj: Values

    @classmethod
    def of(cls, block: Block, params: ParamVector) -> "BlockValues":
        """Look up the arrays of a block."""
        attn, mlp = block.attn, block.mlp
        layers = (block.ln_1, attn.c_attn, attn.c_proj, block.ln_2, mlp.c_fc, mlp.c_proj)
        return cls(*[Values.of(layer, params) for layer in layers])


class NextToken:
    """Runs the next token of one row of the cache and returns the logits (V,).

    It computes what `GPT.next_logits` computes, with about half as many NumPy calls, which is what a small
    model spends its time on. The weights are looked up once, when it is built.

    Args:
        model: the structure.
        ctx: the weights, and the ops of the head.
        cache: the keys and values of the earlier tokens.
        ops: the backend's ops on vectors.
    """

    def __init__(self, model: GPT, ctx: Context, cache: KVCache, ops: RowOps) -> None:
        config, params = model.config, ctx.params
        self._model = model
        self._ctx = ctx
        self._cache = cache
        self._ops = ops
        self._qkv_shape = (3, config.n_head, config.n_embd // config.n_head)
        self._wte, self._wpe = params[model.embedding.wte], params[model.embedding.wpe]
        self._blocks = [BlockValues.of(block, params) for block in model.blocks]
        self._ln_f = Values.of(model.ln_f, params)

    def __call__(self, row: int, token: int) -> Array:
        """Run a token through the model and cache its keys and values; the row must have room for it."""
        with self._ops.active():
            x = self._features(row, token)
            logits: Array = self._model.lm_head.logits(self._ctx, x[None, None])[0, 0]
        self._cache.lengths[row] += 1
        return logits

    def _features(self, row: int, token: int) -> VectorC:
        """Return the features (C,) that the head reads."""
        ops = self._ops
        x: VectorC = self._wte[token] + self._wpe[self._cache.lengths[row]]
        for layer, (ln_1, c_attn, attn_c_proj, ln_2, c_fc, mlp_c_proj) in enumerate(self._blocks):
            h = ops.layernorm(x, *ln_1)
            h = self._attention(layer, row, ops.linear(h, *c_attn))
            x += ops.linear(h, *attn_c_proj)
            h = ops.layernorm(x, *ln_2)
            h = ops.gelu(ops.linear(h, *c_fc))
            x += ops.linear(h, *mlp_c_proj)
        return ops.layernorm(x, *self._ln_f)

    def _attention(self, layer: int, row: int, qkv: Array) -> VectorC:
        """Store the token's key and value in the cache, and attend to all keys up to its own."""
        n = self._cache.lengths[row]
        keys, values = self._cache.keys[layer][row, :, : n + 1], self._cache.values[layer][row, :, : n + 1]
        q, keys[:, n], values[:, n] = qkv.reshape(self._qkv_shape)
        return self._ops.attention(q, keys, values).reshape(-1)
