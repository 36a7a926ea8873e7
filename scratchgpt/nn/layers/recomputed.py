"""A block that keeps only its input and recomputes its activations in backward."""

import copy
import dataclasses
from typing import Any

from scratchgpt.nn.context import Context
from scratchgpt.nn.layers.block import Block
from scratchgpt.shapes import BTC


class RecomputedBlock(Block):
    """Activation checkpointing: a second forward pass instead of keeping what a block saves.

    Memory holds the inputs of n_layer blocks and the activations of one block, instead of the activations
    of n_layer blocks. The second forward pass computes the same bits as the first, so the gradients are the
    same, bit for bit.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016), algorithm 1 with the blocks
    as its segments, https://arxiv.org/abs/1604.06174.
    """

    def forward(self, ctx: Context, x: BTC) -> tuple[BTC, Any]:
        """Return the stream after both branches; save only the input and the state of the dropout stream."""
        rng = copy.deepcopy(ctx.rng)
        y, _ = super().forward(ctx, x)
        return y, (x, rng)

    def backward(self, ctx: Context, saved: Any, dx: BTC) -> BTC:
        """Run forward again with the same dropout masks, then backward."""
        x, rng = saved
        _, saved_again = super().forward(dataclasses.replace(ctx, rng=rng), x)
        return super().backward(ctx, saved_again, dx)
