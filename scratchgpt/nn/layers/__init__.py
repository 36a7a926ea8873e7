"""Layers: thin classes that own parameter handles and call ops.

    y, saved = layer.forward(ctx, x)        reads ctx.params
    dx = layer.backward(ctx, saved, dy)     adds into ctx.grads

A layer never stores an array, so several passes can use it at the same time. No module here imports an array
library.
"""

from scratchgpt.nn.layers.adaptive_head import AdaptiveHead
from scratchgpt.nn.layers.attention import Attention
from scratchgpt.nn.layers.block import Block
from scratchgpt.nn.layers.dropout import Dropout
from scratchgpt.nn.layers.embedding import Embedding
from scratchgpt.nn.layers.layernorm import LayerNorm
from scratchgpt.nn.layers.linear import Linear
from scratchgpt.nn.layers.mlp import MLP
from scratchgpt.nn.layers.recomputed import RecomputedBlock
from scratchgpt.nn.layers.unembedding import Unembedding

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
