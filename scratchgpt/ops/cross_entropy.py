"""Softmax cross-entropy: the mean negative log-probability of the targets.

    loss = mean over valid positions of  log Σ_v exp(z_v) - z_target

Conventions: natural logarithm; positions whose target is `ignore_index` count neither in the
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
    n_valid: int


def forward(logits: AnyV, targets: AnyShape, ignore_index: int = IGNORE_INDEX) -> tuple[Array, Saved]:
    """Return the mean loss in nats as an array of rank 0, over all leading dimensions.

    `targets` holds integers in [0, V) or `ignore_index`, one for each row of `logits`.

    Raises:
        ValueError: every target is `ignore_index`, so that there is no mean to take.
    """
    valid: Array = targets != ignore_index
    n_valid = int(valid.sum())
    if n_valid == 0:
        raise ValueError(f"cross_entropy: all {targets.size} targets are ignore_index ({ignore_index})")
    targets = np.where(valid, targets, 0)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exp: Array = np.exp(shifted)
    total: Array = exp.sum(axis=-1, keepdims=True)
    at_target: Array = np.take_along_axis(shifted, targets[..., None], axis=-1)
    losses = (np.log(total) - at_target)[..., 0]
    loss: Array = np.where(valid, losses, 0.0).sum() / n_valid
    return loss, Saved(exp / total, targets, valid, n_valid)


def backward(saved: Saved, dloss: float = 1.0) -> tuple[AnyV]:
    """Return dlogits = dloss · (p - onehot(target)) / n_valid, and zero where the target is ignored."""
    probs, targets, valid, n_valid = saved
    dlogits: Array = probs.reshape(-1, probs.shape[-1]).copy()  # (N, V)
    dlogits[np.arange(len(dlogits), like=dlogits), targets.reshape(-1)] -= 1.0
    dlogits *= (valid.reshape(-1, 1) * (dloss / n_valid)).astype(dlogits.dtype)
    return (dlogits.reshape(probs.shape),)
