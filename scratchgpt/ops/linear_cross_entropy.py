"""Output head and loss, fused: the cross-entropy of logits = x Wᵀ, without returning the logits.

This is one pair because the logits of a large vocabulary are the largest array of a training step and only
the loss needs them, so a backend may compute them a few rows at a time. Here it is the plain composition of
`unembedding` and `cross_entropy`. Source of the idea: Wijmans et al., "Cut Your Losses in Large-Vocabulary
Language Models" (2024), https://arxiv.org/abs/2411.09009.
"""

from typing import NamedTuple

from scratchgpt.ops import cross_entropy, unembedding
from scratchgpt.shapes import VC, AnyC, AnyShape, Array


class Saved(NamedTuple):
    """What backward needs: what each of the two ops saved."""

    unembedding: unembedding.Saved
    cross_entropy: cross_entropy.Saved


def forward(
    x: AnyC, weight: VC, targets: AnyShape, n_targets: int | None = None, needs_backward: bool = True
) -> tuple[Array, Saved | None]:
    """Return the mean loss in nats of the logits x Wᵀ; `targets` and `n_targets` as for `cross_entropy`.

    Without `needs_backward`, `saved` is None: a backend that computes the gradients while it still has the
    logits can skip that work.

    Raises:
        ValueError: as `cross_entropy.forward`.
    """
    logits, saved_unembedding = unembedding.forward(x, weight)
    loss, saved_cross_entropy = cross_entropy.forward(logits, targets, n_targets)
    return loss, Saved(saved_unembedding, saved_cross_entropy) if needs_backward else None


def backward(saved: Saved, dloss: float = 1.0) -> tuple[AnyC, VC]:
    """Return dx = dlogits W and dweight = Σ_rows dlogitsᵀ x."""
    (dlogits,) = cross_entropy.backward(saved.cross_entropy, dloss)
    return unembedding.backward(saved.unembedding, dlogits)
