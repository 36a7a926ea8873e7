"""How a learner's functions are called where the engine calls its own."""

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


class Pair:
    """A learner's forward and backward, as an op."""

    def __init__(self, module: ModuleType, forward: str = "forward", backward: str = "backward") -> None:
        self._forward: Callable[..., tuple[Any, Any]] = getattr(module, forward)
        self._backward: Callable[..., Any] = getattr(module, backward)

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Call the learner's forward."""
        return self._forward(*args, **kwargs)

    def backward(self, saved: Any, *args: Any) -> tuple[Any, ...]:
        """Call the learner's backward."""
        returned = self._backward(saved, *args)
        return tuple(returned) if isinstance(returned, tuple | list) else (returned,)


class Attention(Pair):
    """The attention of lesson 10, which has no dropout."""

    def forward(self, q: Any, k: Any, v: Any, p: float = 0.0, rng: Any = None) -> tuple[Any, Any]:
        """Call the learner's forward without the arguments that no exercise asks for.

        Raises:
            Missing: there is dropout.
        """
        if p > 0.0 and rng is not None:
            raise Missing(
                "the attention of lesson 10 has no dropout; expected --model.dropout 0 with --mine 10"
            )
        return super().forward(q, k, v)


class Dropout(Pair):
    """The dropout of lesson 13."""

    def forward(self, x: AnyShape, p: float, rng: UniformSource | None) -> tuple[AnyShape, Any]:
        """Call the learner's forward with random numbers in whatever type it asks for."""
        return super().forward(x, p, rng and _Draws(rng))


class _Draws:
    """The engine's uniform numbers, which are float32, also for who asks for another type."""

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
    """The cross-entropy of lesson 2 behind the engine's unembedding: the head and its loss.

    The learner's mean is over the rows that it is given: only those whose target counts, and then it is
    weighed by their share in the whole batch.
    """

    def forward(
        self,
        x: AnyC,
        weight: VC,
        targets: AnyShape,
        n_targets: int | None = None,
        needs_backward: bool = True,
    ) -> tuple[Any, Any]:
        """Call the learner's forward with rows of logits."""
        logits, saved_unembedding = unembedding.forward(x, weight)
        valid: Array = targets != IGNORE_INDEX
        n_valid = int(np.count_nonzero(valid))
        share = n_valid / (n_targets or n_valid)
        loss, saved = super().forward(logits[valid], targets[valid]) if n_valid else (0.0, None)
        return np.asarray(loss * share, dtype=x.dtype), _HeadSaved(saved_unembedding, saved, valid, share)

    def backward(self, saved: _HeadSaved, *args: Any) -> tuple[Any, ...]:
        """Call the learner's backward, and go back through the unembedding."""
        x, weight = saved.unembedding
        dlogits = np.zeros((*saved.valid.shape, len(weight)), dtype=x.dtype)
        if saved.mine is not None:
            (dloss,) = args or (1.0,)
            (dlogits[saved.valid],) = super().backward(saved.mine, dloss * saved.share)
        return unembedding.backward(saved.unembedding, dlogits)


def adamw(module: ModuleType) -> Callable[..., None]:
    """Return the `adamw` of a backend that calls a learner's step of lesson 14 with flat vectors."""

    def update(step: Update, norm: Any = 0.0) -> None:
        """Take a step, in place; none if the norm of the gradient is not finite."""
        if not np.isfinite(norm):
            return
        n, lr, t = step.n_decaying, float(step.scalars[0]), _step_number(step)
        vectors = (step.w, step.g, step.m, step.v)
        # Matrices decay, and a matrix is what has two axes.
        for part, shape in ((slice(0, n), (1, n)), (slice(n, None), (len(step.w) - n,))):
            given = (vector[part].reshape(shape).copy() for vector in vectors)
            returned = module.step(*given, t, lr, step.betas, step.eps, step.weight_decay)
            new = unpacked(returned, "step", ("w", "m", "v"))
            for vector, values in zip((step.w, step.m, step.v), new, strict=True):
                vector[part] = np.reshape(values, -1)

    return update


def _step_number(step: Update) -> int:
    """Return which step it is: βᵗ = 1 - correction says so, until it is too small to count."""
    beta = max(step.betas)
    _, correction1, root2 = map(float, step.scalars)
    power = 1.0 - (correction1 if step.betas[0] == beta else root2**2)
    return round(math.log(power) / math.log(beta)) if beta > 0.0 and power > 1e-12 else 10**6
