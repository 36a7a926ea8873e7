"""Softmax cross-entropy: the mean negative log-probability of the targets.

    loss = mean over valid positions of  log Σ_v exp(z_v) - z_target

Conventions: natural logarithm; positions whose target is `IGNORE_INDEX` count neither in the
sum nor in the mean. The logarithm of the sum is taken directly (log-sum-exp), never of a
probability that may have become zero. Source: Goodfellow, Bengio, Courville, "Deep Learning"
(2016), section 6.2.2.3.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import AnyShape, AnyV, Array

IGNORE_INDEX = -100  # the value that PyTorch and Hugging Face use, too


class Saved(NamedTuple):
    """What backward needs; `valid` is 1 where a target counts and 0 where it is ignored."""

    probs: AnyV
    targets: AnyShape
    valid: AnyShape
    n_targets: int


def forward(logits: AnyV, targets: AnyShape, n_targets: int | None = None) -> tuple[Array, Saved]:
    """Return the mean loss in nats as an array of rank 0, over all leading dimensions.

    `targets` holds integers in [0, V) or `IGNORE_INDEX`, one for each row of `logits`. `n_targets` is
    what the sum is divided by; None means the number of valid targets here. A part of a batch is given
    the number in the whole batch, so that the parts' losses and gradients add up to the batch's.

    Raises:
        ValueError: no target is valid and no `n_targets` is given: there is no mean to take.
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
    """Return dlogits = dloss · (p - onehot(target)) / n_targets, and zero where the target is ignored."""
    probs, targets, valid, n_targets = saved
    dlogits: Array = probs.reshape(-1, probs.shape[-1]).copy()  # (N, V)
    dlogits[np.arange(len(dlogits), like=dlogits), targets.reshape(-1)] -= 1.0
    dlogits *= (valid.reshape(-1, 1) * (dloss / n_targets)).astype(dlogits.dtype)
    return (dlogits.reshape(probs.shape),)
