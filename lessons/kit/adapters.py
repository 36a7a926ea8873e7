"""Adapt a learner's functions to the signatures with which the engine calls its own."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from lessons.kit.files import Missing
from lessons.kit.pair import unpacked
from scratchgpt.ops import unembedding
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import UniformSource
from scratchgpt.ops.updates.adamw import Update
from scratchgpt.shapes import VC, AnyC, AnyShape, Array

NO_DROPOUT = "the attention of lesson 10 has no dropout; train with --model.dropout 0, or leave out lesson 10"


class Pair:
    """A learner's forward and backward as an op."""

    def __init__(self, module: ModuleType, forward: str = "forward", backward: str = "backward") -> None:
        self._forward: Callable[..., tuple[Any, Any]] = getattr(module, forward)
        self._backward: Callable[..., Any] = getattr(module, backward)

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Call the learner's forward; return (y, saved)."""
        return self._forward(*args, **kwargs)

    def backward(self, saved: Any, *args: Any) -> tuple[Any, ...]:
        """Call the learner's backward; return the gradients as a tuple."""
        returned = self._backward(saved, *args)
        return tuple(returned) if isinstance(returned, tuple | list) else (returned,)


class Attention(Pair):
    """The attention of lesson 10, which has no dropout."""

    def forward(self, q: Any, k: Any, v: Any, p: float = 0.0, rng: Any = None) -> tuple[Any, Any]:
        """Call the learner's forward without the dropout arguments, which the exercise does not have.

        Raises:
            Missing: dropout is on.
        """
        if p > 0.0 and rng is not None:
            raise Missing(NO_DROPOUT)
        return super().forward(q, k, v)


class Dropout(Pair):
    """The dropout of lesson 13."""

    def forward(self, x: AnyShape, p: float, rng: UniformSource | None) -> tuple[AnyShape, Any]:
        """Call the learner's forward with a generator that draws in any dtype."""
        return super().forward(x, p, rng and _AnyDtype(rng))


class _AnyDtype:
    """The engine's uniform numbers, which are drawn in float32, converted to the requested dtype."""

    def __init__(self, rng: UniformSource) -> None:
        self._rng = rng

    def random(self, size: tuple[int, ...], dtype: Any = np.float64) -> Array:
        """Return the next numbers in [0, 1)."""
        numbers: Array = self._rng.random(size, dtype=np.float32).astype(dtype)
        return numbers


class _HeadSaved(NamedTuple):
    unembedding: unembedding.Saved
    mine: Any
    valid: AnyShape
    share: float


class Head(Pair):
    """The head and its loss: the engine's unembedding followed by the cross-entropy of lesson 2.

    The learner's loss is a mean over all the rows it gets. So it gets only rows whose target counts, and its
    mean is weighted by their share of the targets of the whole batch.
    """

    def forward(
        self,
        x: AnyC,
        weight: VC,
        targets: AnyShape,
        n_targets: int | None = None,
        needs_backward: bool = True,
    ) -> tuple[Any, Any]:
        """Call the learner's forward with rows of logits; return (loss, saved)."""
        logits, saved_unembedding = unembedding.forward(x, weight)
        valid: Array = targets != IGNORE_INDEX
        n_valid = int(np.count_nonzero(valid))
        share = n_valid / (n_targets or n_valid)
        loss, saved = super().forward(logits[valid], targets[valid]) if n_valid else (0.0, None)
        return np.asarray(loss * share, dtype=x.dtype), _HeadSaved(saved_unembedding, saved, valid, share)

    def backward(self, saved: _HeadSaved, *args: Any) -> tuple[Any, ...]:
        """Call the learner's backward, then the unembedding's; return (dx, dweight)."""
        x, weight = saved.unembedding
        dlogits = np.zeros((*saved.valid.shape, len(weight)), dtype=x.dtype)
        if saved.mine is not None:
            (dloss,) = args or (1.0,)
            (dlogits[saved.valid],) = super().backward(saved.mine, dloss * saved.share)
        return unembedding.backward(saved.unembedding, dlogits)


def adamw(module: ModuleType) -> Callable[..., None]:
    """Return a backend's `adamw` that calls a learner's step of lesson 14 on the flat vectors."""

    def update(step: Update, norm: Any = 0.0) -> None:
        """Update weights and moments in place; skip the step if the gradient norm is not finite."""
        if not np.isfinite(norm):
            return
        n, lr, t = step.n_decaying, float(step.scalars[0]), _step_number(step)
        vectors = (step.w, step.g, step.m, step.v)
        # The learner's step decays arrays of two axes, so the decaying part is passed as a matrix.
        for part, shape in ((slice(0, n), (1, n)), (slice(n, None), (len(step.w) - n,))):
            given = (vector[part].reshape(shape).copy() for vector in vectors)
            returned = module.step(*given, t, lr, step.betas, step.eps, step.weight_decay)
            new = unpacked(returned, "step", ("w", "m", "v"))
            for vector, values in zip((step.w, step.m, step.v), new, strict=True):
                vector[part] = np.reshape(values, -1)

    return update


def _step_number(step: Update) -> int:
    """Return the step number t from the bias correction 1 - βᵗ; a large number once βᵗ is negligible."""
    beta = max(step.betas)
    _, correction1, root2 = map(float, step.scalars)
    power = 1.0 - (correction1 if step.betas[0] == beta else root2**2)
    return round(math.log(power) / math.log(beta)) if beta > 0.0 and power > 1e-12 else 10**6
