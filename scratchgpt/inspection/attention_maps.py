"""Attention maps: the attention probabilities of every head."""

import dataclasses
from typing import Any

import numpy as np

from scratchgpt.backends import Backend, Op
from scratchgpt.inspection.one_pass import on_host, one_pass
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.ops import attention
from scratchgpt.shapes import BHSD, BHTD, BHTS, Array


def attention_maps(bound: BoundModel, ids: Array) -> Array:
    """Return the attention of token t to token s in every head: (n_layer, n_head, T, T).

    Rows sum to 1, and the causal mask makes everything above the diagonal 0. Arguments and errors are those
    of `one_pass`.
    """
    with one_pass(bound, ids) as (ctx, tokens):
        recording = _RecordingAttention(ctx.ops.attention, bound.backend)
        ops = dataclasses.replace(ctx.ops, attention=recording)
        bound.model.features(dataclasses.replace(ctx, ops=ops), tokens)
    return np.concatenate(recording.maps)


def probabilities(q: BHTD, k: BHSD) -> BHTS:
    """Return softmax(q kᵀ / √D) with the future masked: attention whose values are the identity."""
    probs, _ = attention.forward(q, k, np.eye(k.shape[2], dtype=q.dtype))
    return probs


class _RecordingAttention:
    """A backend's attention that also records the probabilities, layer by layer.

    What a backend saves is private to it, and a fast one never has all probabilities in memory at once. So
    the reference op computes them again from q and k.
    """

    def __init__(self, op: Op, backend: Backend) -> None:
        self.maps: list[Array] = []
        self.backward = op.backward
        self._op, self._backend = op, backend

    def forward(self, q: BHTD, k: BHSD, *others: Any) -> tuple[Any, Any]:
        """Record the probabilities, and return what the backend's op returns."""
        self.maps.append(probabilities(on_host(q, self._backend), on_host(k, self._backend)))
        return self._op.forward(q, k, *others)
