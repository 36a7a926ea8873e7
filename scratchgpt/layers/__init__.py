"""The plumbing: thin classes that own parameter handles and call ops.

    y, saved = layer.forward(ctx, x)        reads ctx.params
    dx = layer.backward(ctx, saved, dy)     adds into ctx.grads

A layer never stores an array, so one layer can serve several passes at once. No module here
imports an array library.
"""

from scratchgpt.layers.adaptive_head import AdaptiveHead
from scratchgpt.layers.attention import Attention
from scratchgpt.layers.block import Block
from scratchgpt.layers.dropout import Dropout
from scratchgpt.layers.embedding import Embedding
from scratchgpt.layers.layernorm import LayerNorm
from scratchgpt.layers.linear import Linear
from scratchgpt.layers.mlp import MLP
from scratchgpt.layers.recomputed import RecomputedBlock
from scratchgpt.layers.unembedding import Unembedding

__all__ = [
    "MLP",
    "AdaptiveHead",
    "Attention",
    "Block",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "RecomputedBlock",
    "Unembedding",
]
