"""The residual stream: what every block reads, adds to and hands on."""

from collections.abc import Iterator

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.inspection.one_pass import on_host, one_pass
from scratchgpt.nn.context import Context
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import BTC, Array, Tokens


def streams(model: GPT, ctx: Context, tokens: Tokens) -> Iterator[BTC]:
    """Yield the stream (B, T, C) n_layer + 1 times: the embeddings, then what is there after each block."""
    x, _ = model.embedding.forward(ctx, tokens)
    yield x
    for block in model.blocks:
        x, _ = block.forward(ctx, x)
        yield x


def norms(model: GPT, params: ParamVector, ids: Array, backend: Backend) -> Array:
    """Return the length ‖x‖₂ of the stream of every token: (n_layer + 1, T).

    The arguments and the errors are those of `one_pass`.
    """
    with one_pass(model, params, ids, backend) as (ctx, tokens):
        return np.stack(
            [np.linalg.norm(on_host(x, backend)[0], axis=-1) for x in streams(model, ctx, tokens)]
        )


def features(model: GPT, params: ParamVector, ids: Array, backend: Backend) -> Array:
    """Return what the head reads, the normalised stream after the last block: (T, C).

    The arguments and the errors are those of `one_pass`.
    """
    with one_pass(model, params, ids, backend) as (ctx, tokens):
        x, _ = model.features(ctx, tokens)
        return on_host(x, backend)[0]
