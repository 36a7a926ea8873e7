"""Softmax cross-entropy: the mean negative log-probability of the targets.

    loss = mean over valid positions of  log Σ_v exp(z_v) - z_target

Conventions: natural logarithm; positions whose target is `IGNORE_INDEX` add nothing to the loss and
are not counted in the divisor of the mean. The loss is computed by log-sum-exp, never as the logarithm of a
probability, which may have underflowed to zero. Source: Goodfellow, Bengio, Courville, "Deep
Learning" (2016), section 6.2.2.3.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import AnyShape, AnyV, Array

IGNORE_INDEX = -100  # as in PyTorch and Hugging Face


class Saved(NamedTuple):
    """What backward needs: the probabilities and targets; `valid` is False where a target is ignored."""

    probs: AnyV
    targets: AnyShape
    valid: AnyShape
    n_targets: int


def forward(logits: AnyV, targets: AnyShape, n_targets: int | None = None) -> tuple[Array, Saved]:
    """Return the loss in nats, a scalar: the sum over all leading dimensions, divided by `n_targets`.

    `targets` holds one integer in [0, V) or `IGNORE_INDEX` for each row of `logits`. `n_targets` None
    means the number of valid targets here, which gives the mean. A micro-batch gets the number in the whole
    batch, so that losses and gradients of micro-batches add up to those of the batch.

    Raises:
        ValueError: no target is valid and `n_targets` is not given, so there is nothing to average.
    """
    valid: Array = targets != IGNORE_INDEX
    n_targets = n_targets or int(valid.sum())
    if n_targets == 0:
        raise ValueError(f"cross_entropy: all {targets.size} targets are {IGNORE_INDEX} (ignored)")
    targets = np.where(valid, targets, 0)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exp: Array = np.exp(shifted)
    total: Array = exp.sum(axis=-1, keepdims=True)
    at_target: Array = np.take_along_axis(shifted, targets[..., None], axis=-1)
    losses = (np.log(total) - at_target)[..., 0]
    loss: Array = np.where(valid, losses, 0.0).sum() / n_targets
    return loss, Saved(exp / total, targets, valid, n_targets)


def backward(saved: Saved, dloss: float = 1.0) -> tuple[AnyV]:
    """Return dlogits = dloss · (p - onehot(target)) / n_targets; zero where the target is ignored."""
    probs, targets, valid, n_targets = saved
    dlogits: Array = probs.reshape(-1, probs.shape[-1]).copy()  # (N, V)
    dlogits[np.arange(len(dlogits), like=dlogits), targets.reshape(-1)] -= 1.0
    dlogits *= (valid.reshape(-1, 1) * (dloss / n_targets)).astype(dlogits.dtype)
    return (dlogits.reshape(probs.shape),)
