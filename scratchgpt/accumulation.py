"""Gradients of the micro-batches of a batch, added up in their order, whoever is done first."""

import itertools
from collections import Counter, defaultdict
from threading import Lock

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.params import Param, ParamVector
from scratchgpt.shapes import Array

Place = tuple[str, int]  # a parameter's name, and how often this micro-batch has added to it before


def cut_batch(n_rows: int, n_time: int, n_params: int, backend: Backend, accumulate: int) -> list[slice]:
    """Return the micro-batches of a batch, as rows: `accumulate` groups, each cut as the backend likes it.

    Groups have about the same number of rows, at least one. A micro-batch's activations are gone before
    whoever computed it takes the next one.

    Raises:
        InputError: `accumulate` is less than 1.
    """
    if accumulate < 1:
        raise InputError(f"accumulate is {accumulate}; expected at least 1, the parts of a batch")
    n_groups = min(n_rows, accumulate)
    bounds = [n_rows * group // n_groups for group in range(n_groups + 1)]
    return [
        slice(start + part.start, start + part.stop)
        for start, stop in itertools.pairwise(bounds)
        for part in backend.share_out(stop - start, n_time, n_params)
    ]


class GradientAccumulator:
    """One gradient vector for all micro-batches, however many threads work on them.

    Floating-point addition rounds, so the order of the terms must not depend on chance. A term that
    comes before its turn is put aside; who adds the term before it adds it, too. So nobody waits. A
    parameter that is used twice (a tied head) has a sum for each use.
    """

    def __init__(self, params: ParamVector, n_micro_batches: int) -> None:
        self._grads = params.map(np.zeros_like if n_micro_batches == 1 else np.empty_like)
        self._n_micro_batches = n_micro_batches
        self._later_uses: dict[Place, Array] = {}
        self._lock = Lock()
        self._turn: defaultdict[Place, int] = defaultdict(int)
        self._early: defaultdict[Place, dict[int, Array]] = defaultdict(dict)
        self._busy: set[Place] = set()

    def micro_batch(self, index: int) -> "ParamVector | MicroBatchGradients":
        """Return where micro-batch `index` (0, 1, 2, ...; each once) adds its gradients.

        A single one has no order to keep and adds into the vector itself.
        """
        return self._grads if self._n_micro_batches == 1 else MicroBatchGradients(self, index)

    def add(self, place: Place, index: int, gradient: Array) -> None:
        """Add a term of micro-batch `index` once all earlier ones are in; its memory may become the sum's."""
        with self._lock:
            early = self._early[place]
            early[index] = gradient
            if place in self._busy:
                return
            self._busy.add(place)
        while True:
            with self._lock:
                turn = self._turn[place]
                if turn not in early:
                    self._busy.remove(place)
                    return
                gradient = early.pop(turn)
                self._turn[place] += 1
            self._add_next(place, gradient, is_first=turn == 0)

    def _add_next(self, place: Place, gradient: Array, is_first: bool) -> None:
        name, use = place
        if use > 0 and is_first:
            self._later_uses[place] = gradient
            return
        total = self._later_uses[place] if use > 0 else self._grads[name]
        if is_first:
            total[...] = gradient
        else:
            total += gradient

    def total(self) -> ParamVector:
        """Return the sum over all micro-batches, which must all be done."""
        for (name, _), gradient in sorted(self._later_uses.items()):
            self._grads[name] += gradient
        self._later_uses.clear()
        return self._grads


class MicroBatchGradients:
    """What `Context.grads` is in one micro-batch: it keeps count of the uses of each parameter."""

    def __init__(self, accumulator: GradientAccumulator, index: int) -> None:
        self._accumulator = accumulator
        self._index = index
        self._uses: Counter[str] = Counter()

    def add(self, param: Param, gradient: Array) -> None:
        """Add the gradient of one use of a parameter."""
        place = (param.name, self._uses[param.name])
        self._uses[param.name] += 1
        self._accumulator.add(place, self._index, gradient)
