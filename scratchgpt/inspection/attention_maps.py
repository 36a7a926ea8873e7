"""Who looks at whom: the attention probabilities of every head."""

import dataclasses
from typing import Any

import numpy as np

from scratchgpt.backends import Backend, Op
from scratchgpt.inspection.one_pass import on_host, one_pass
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops import attention
from scratchgpt.shapes import BHSD, BHTD, BHTS, Array


def attention_maps(model: GPT, params: ParamVector, ids: Array, backend: Backend) -> Array:
    """Return how much token t of a text looks at token s, in every head: (n_layer, n_head, T, T).

    Rows add up to 1, and no token looks ahead: what is above the diagonal is 0. These are T² numbers for each
    head. The arguments and the errors are those of `one_pass`.
    """
    with one_pass(model, params, ids, backend) as (ctx, tokens):
        noting = _NotingAttention(ctx.ops.attention, backend)
        model.features(dataclasses.replace(ctx, ops=dataclasses.replace(ctx.ops, attention=noting)), tokens)
    return np.concatenate(noting.maps)


def probabilities(q: BHTD, k: BHSD) -> BHTS:
    """Return softmax(q kᵀ / √D, future masked): what attention returns if the values are the identity."""
    probs, _ = attention.forward(q, k, np.eye(k.shape[2], dtype=q.dtype))
    return probs


class _NotingAttention:
    """A backend's attention that also notes the probabilities, layer by layer.

    What the backend saves is its own affair, and a fast one never has all probabilities at once. So they are
    computed again from q and k, by the textbook.
    """

    def __init__(self, op: Op, backend: Backend) -> None:
        self.maps: list[Array] = []
        self.backward = op.backward
        self._op, self._backend = op, backend

    def forward(self, q: BHTD, k: BHSD, *others: Any) -> tuple[Any, Any]:
        """Note the probabilities and compute what the backend does."""
        self.maps.append(probabilities(on_host(q, self._backend), on_host(k, self._backend)))
        return self._op.forward(q, k, *others)
