"""One new token of one text through the model: `GPT.next_logits` in vectors instead of arrays (B, T, C)."""

from typing import NamedTuple

from scratchgpt.backends.base import RowOps
from scratchgpt.nn.context import Context
from scratchgpt.nn.kv_cache import KVCache
from scratchgpt.nn.layers import Block, LayerNorm, Linear
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array, VectorC


class Values(NamedTuple):
    """The values of a layer that has a weight and perhaps a bias."""

    weight: Array
    bias: Array | None

    @classmethod
    def of(cls, layer: Linear | LayerNorm, params: ParamVector) -> "Values":
        """Look them up."""
        return cls(params[layer.weight], params[layer.bias] if layer.bias else None)


class BlockValues(NamedTuple):
    """The values of a block's layers, in the order of its forward pass."""

    ln_1: Values
    c_attn: Values
    attn_c_proj: Values
    ln_2: Values
    c_fc: Values
    mlp_c_proj: Values

    @classmethod
    def of(cls, block: Block, params: ParamVector) -> "BlockValues":
        """Look them up."""
        attn, mlp = block.attn, block.mlp
        layers = (block.ln_1, attn.c_attn, attn.c_proj, block.ln_2, mlp.c_fc, mlp.c_proj)
        return cls(*[Values.of(layer, params) for layer in layers])


class NextToken:
    """A function of a row of the cache and the token that comes next there; it returns the logits (V,).

    All weights are looked up once, for as many tokens as follow.

    Args:
        model: the structure.
        ctx: the weights, and the ops of the head.
        cache: the keys and values of the earlier tokens.
        ops: what computes.
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
        """Run the token through the model and keep its keys and values; the row must have room for it."""
        with self._ops.active():
            x = self._features(row, token)
            logits: Array = self._model.lm_head.logits(self._ctx, x[None, None])[0, 0]
        self._cache.lengths[row] += 1
        return logits

    def _features(self, row: int, token: int) -> VectorC:
        """Return what the head reads."""
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
        """Let the token look at itself and at what is in the cache, where its key and value stay."""
        n = self._cache.lengths[row]
        keys, values = self._cache.keys[layer][row, :, : n + 1], self._cache.values[layer][row, :, : n + 1]
        q, keys[:, n], values[:, n] = qkv.reshape(self._qkv_shape)
        return self._ops.attention(q, keys, values).reshape(-1)
