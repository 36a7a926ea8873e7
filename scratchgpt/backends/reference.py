"""The `reference` backend: the ops of `scratchgpt.ops` as they are. Other backends are tested against it."""

from scratchgpt.backends.base import Backend, Ops, check_threads
from scratchgpt.ops import (
    attention,
    dropout,
    embedding,
    gelu_exact,
    gelu_tanh,
    layernorm,
    linear,
    linear_cross_entropy,
    merge_heads,
    split_heads,
    unembedding,
)

OPS = Ops(
    embedding=embedding,
    layernorm=layernorm,
    linear=linear,
    split_heads=split_heads,
    attention=attention,
    merge_heads=merge_heads,
    gelu_tanh=gelu_tanh,
    gelu_exact=gelu_exact,
    dropout=dropout,
    unembedding=unembedding,
    linear_cross_entropy=linear_cross_entropy,
)


def create(threads: int | None = None) -> Backend:
    """Return the backend; `threads` limits the BLAS threads of a matrix product, None leaves them alone.

    Raises:
        InputError: `threads` is less than 1.
    """
    check_threads(threads)
    return Backend("reference", OPS, threads)
