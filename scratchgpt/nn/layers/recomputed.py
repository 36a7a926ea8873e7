"""A block that keeps its input alone and is computed a second time when backward comes to it."""

import copy
import dataclasses
from typing import Any

from scratchgpt.nn.context import Context
from scratchgpt.nn.layers.block import Block
from scratchgpt.shapes import BTC


class RecomputedBlock(Block):
    """Gradient checkpointing: a second forward pass in exchange for the memory of what a block saves.

    With n_layer blocks, backward finds n_layer inputs and one block's activations in memory instead of
    n_layer blocks' activations. The second forward pass computes the very bits of the first one, so
    the gradients are the same, bit for bit.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016), algorithm 1 with the blocks
    as its segments, https://arxiv.org/abs/1604.06174.
    """

    def forward(self, ctx: Context, x: BTC) -> tuple[BTC, Any]:
        """Return the stream after both branches; kept are the stream before them and where dropout stood."""
        rng = copy.deepcopy(ctx.rng)
        y, _ = super().forward(ctx, x)
        return y, (x, rng)

    def backward(self, ctx: Context, saved: Any, dx: BTC) -> BTC:
        """Go forward again with the same dropout masks, then backward."""
        x, rng = saved
        _, saved_again = super().forward(dataclasses.replace(ctx, rng=rng), x)
        return super().backward(ctx, saved_again, dx)
