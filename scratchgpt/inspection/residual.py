"""The residual stream, which every block reads and adds to."""

from collections.abc import Iterator

import numpy as np

from scratchgpt.inspection.one_pass import on_host, one_pass
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.context import Context
from scratchgpt.shapes import BTC, Array, Tokens


def streams(bound: BoundModel, ctx: Context, tokens: Tokens) -> Iterator[BTC]:
    """Yield the stream (B, T, C) n_layer + 1 times: the embeddings, then the stream after each block."""
    x, _ = bound.model.embedding.forward(ctx, tokens)
    yield x
    for block in bound.model.blocks:
        x, _ = block.forward(ctx, x)
        yield x


def norms(bound: BoundModel, ids: Array) -> Array:
    """Return the norm ‖x‖₂ of the stream at every token: (n_layer + 1, T).

    Arguments and errors are those of `one_pass`.
    """
    with one_pass(bound, ids) as (ctx, tokens):
        layers = [on_host(x, bound.backend)[0] for x in streams(bound, ctx, tokens)]
    return np.stack([np.linalg.norm(x, axis=-1) for x in layers])


def features(bound: BoundModel, ids: Array) -> Array:
    """Return the features that the head reads, the normalized stream after the last block: (T, C).

    Arguments and errors are those of `one_pass`.
    """
    with one_pass(bound, ids) as (ctx, tokens):
        x, _ = bound.model.features(ctx, tokens)
        return on_host(x, bound.backend)[0]
