"""The cases in which every op is checked: sizes and values at which no known mistake goes unnoticed.

B=3, T=5, S=6, H=4, D=7, C=28, V=11 are all different, so that a wrong factor reveals its cause and a
transposed matrix never fits by accident. Values are of order 1, γ is not near 1, β is not near 0, the
mean of x is not 0, eps is 0.1, some tokens repeat and others are absent, ranks are 2 and 3, and the
"strided" cases are non-contiguous views.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from scratchgpt.backends import Backend, Ops
from scratchgpt.gradcheck.check import Result, check
from scratchgpt.gradcheck.device import from_host
from scratchgpt.ops import adaptive_softmax, cross_entropy, softmax
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import Array

B, T, S, H, D, C, V, OUT, P = 3, 5, 6, 4, 7, 28, 11, 13, 8
TOKENS = np.array([[2, 7, 7, 0, 2], [10, 2, 3, 3, 3], [7, 0, 10, 4, 2]])  # 1, 5, 6, 8, 9 are absent
TARGETS = np.array([[7, 7, IGNORE_INDEX, 2, 10], [2, 3, 3, 3, 1], [0, IGNORE_INDEX, 4, 2, 8]])


class Case(NamedTuple):
    """The arguments of one call of `check`."""

    op: str
    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[..., Any]
    inputs: dict[str, Any]


def op_cases(ops: Ops) -> Iterator[Case]:
    """Yield cases for every op in the table, and for softmax, cross_entropy and adaptive_softmax."""
    rng = np.random.default_rng(42)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape) + 0.3

    yield Case(
        "embedding", *ops_pair(ops.embedding), {"tokens": TOKENS, "wte": normal(V, C), "wpe": normal(P, C)}
    )

    linear = ops_pair(ops.linear)
    yield Case("linear", *linear, {"x": normal(B, T, C), "weight": normal(C, OUT), "bias": normal(OUT)})
    yield Case("linear, rank 2, no bias", *linear, {"x": normal(B, C), "weight": normal(C, OUT)})
    yield Case(
        "linear, strided",
        *linear,
        {"x": strided(normal(B, T, C)), "weight": normal(OUT, C).T, "bias": strided(normal(OUT))},
    )

    layernorm = ops_pair(ops.layernorm)
    scale, shift = {"weight": 0.5 + rng.random(C) * 2}, {"bias": normal(C)}
    yield Case("layernorm", *layernorm, {"x": normal(B, T, C), **scale, **shift, "eps": 0.1})
    yield Case("layernorm, rank 2, no bias", *layernorm, {"x": normal(B, C), **scale, "eps": 0.1})
    yield Case(
        "layernorm, strided", *layernorm, {"x": strided(normal(B, T, C)), **scale, **shift, "eps": 0.1}
    )

    for name in ("gelu_tanh", "gelu_exact"):
        gelu = ops_pair(getattr(ops, name))
        yield Case(name, *gelu, {"x": 2.0 * normal(B, T, C)})
        yield Case(f"{name}, strided", *gelu, {"x": strided(2.0 * normal(B, C))})

    yield Case("softmax", *ops_pair(softmax), {"x": normal(B, H, T, S)})

    attention = ops_pair(ops.attention)
    q, k, v = normal(B, H, T, D), normal(B, H, T, D), normal(B, H, T, D)
    yield Case("attention", *attention, {"q": q, "k": k, "v": v})
    k, v = normal(B, H, S, D), normal(B, H, S, D)
    yield Case("attention, more keys", *attention, {"q": q, "k": k, "v": v})
    packed = normal(B, T, 3, H, D).transpose(2, 0, 3, 1, 4)
    yield Case("attention, strided", *attention, {"q": packed[0], "k": packed[1], "v": packed[2]})
    yield Case(
        "attention, dropout",
        lambda q, k, v: ops.attention.forward(q, k, v, 0.3, np.random.default_rng(3)),
        ops.attention.backward,
        {"q": q, "k": k, "v": v},
    )

    yield Case("split_heads", *ops_pair(ops.split_heads), {"qkv": normal(B, T, 3 * C), "n_head": H})
    yield Case("merge_heads", *ops_pair(ops.merge_heads), {"heads": normal(B, H, T, D)})

    yield Case(
        "dropout",
        lambda x: ops.dropout.forward(x, 0.3, np.random.default_rng(5)),
        ops.dropout.backward,
        {"x": normal(B, T, C)},
    )
    yield Case("dropout, off", *ops_pair(ops.dropout), {"x": normal(B, T, C), "p": 0.3, "rng": None})

    unembedding = ops_pair(ops.unembedding)
    yield Case("unembedding", *unembedding, {"x": normal(B, T, C), "weight": normal(V, C)})
    yield Case("unembedding, rank 2", *unembedding, {"x": normal(B, C), "weight": normal(C, V).T})

    whole = ops_pair(cross_entropy)
    yield Case("cross_entropy", *whole, {"logits": 3.0 * normal(B, T, V), "targets": TARGETS})
    yield Case(
        "cross_entropy, rank 2",
        *whole,
        {"logits": strided(normal(T, V)), "targets": np.array([3, 0, 10, 3, 7])},
    )

    head = ops_pair(ops.linear_cross_entropy)
    yield Case(
        "linear_cross_entropy", *head, {"x": normal(B, T, C), "weight": normal(V, C), "targets": TARGETS}
    )
    yield Case(
        "linear_cross_entropy, part of a batch",
        *head,
        {
            "x": strided(normal(B, C)),
            "weight": normal(C, V).T,
            "targets": np.array([3, IGNORE_INDEX, 10]),
            "n_targets": 5,
        },
    )

    taken = ops_pair(adaptive_softmax)
    yield Case("adaptive_softmax", *taken, {"x": normal(B, T, C), "rows": np.array([1, 6, 7, 12])})
    yield Case(
        "adaptive_softmax, rank 2, strided", *taken, {"x": strided(normal(T, C)), "rows": np.array([3])}
    )


def check_ops(backend: Backend) -> Iterator[Result]:
    """Check every op of a backend in float64: every element of every gradient."""
    for case in op_cases(backend.ops):
        yield from check_case(backend, case)


def check_case(backend: Backend, case: Case) -> list[Result]:
    """Check one case on the backend's device."""
    pair = from_host(backend, case.forward, case.backward)
    return check(*pair, case.inputs, name=case.op)


def ops_pair(op: Any) -> tuple[Callable[..., tuple[Any, Any]], Callable[..., Any]]:
    """Return an op's (forward, backward)."""
    return op.forward, op.backward


def strided(x: Array) -> Array:
    """Return an equal array that is not contiguous: every second element of a larger one."""
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan)
    wide[..., ::2] = x
    return wide[..., ::2]
