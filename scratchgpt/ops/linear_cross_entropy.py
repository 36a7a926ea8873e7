"""The head and its loss in one: the cross-entropy of logits = x Wᵀ, without handing the logits out.

A pair of its own, because the logits of a large vocabulary are the largest array of a training step and
nobody but the loss needs them: a backend may make them a few rows at a time. Here it is the composition,
`unembedding` then `cross_entropy`. Source of the idea: Wijmans et al., "Cut Your Losses in
Large-Vocabulary Language Models" (2024), https://arxiv.org/abs/2411.09009.
"""

from typing import NamedTuple

from scratchgpt.ops import cross_entropy, unembedding
from scratchgpt.shapes import VC, AnyC, AnyShape, Array


class Saved(NamedTuple):
    """What backward needs: what the two ops saved."""

    unembedding: unembedding.Saved
    cross_entropy: cross_entropy.Saved


def forward(
    x: AnyC, weight: VC, targets: AnyShape, n_targets: int | None = None, needs_backward: bool = True
) -> tuple[Array, Saved | None]:
    """Return the mean loss in nats of the logits x Wᵀ; `targets` and `n_targets` as for `cross_entropy`.

    Without `needs_backward` nothing is saved: a pair that computes gradients while it has the logits
    at hand can leave that out.

    Raises:
        ValueError: as `cross_entropy.forward`.
    """
    logits, saved_unembedding = unembedding.forward(x, weight)
    loss, saved_cross_entropy = cross_entropy.forward(logits, targets, n_targets)
    return loss, Saved(saved_unembedding, saved_cross_entropy) if needs_backward else None


def backward(saved: Saved, dloss: float = 1.0) -> tuple[AnyC, VC]:
    """Return dx and dweight."""
    (dlogits,) = cross_entropy.backward(saved.cross_entropy, dloss)
    return unembedding.backward(saved.unembedding, dlogits)
