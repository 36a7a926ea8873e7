"""Gradients of the micro-batches of a batch, added up in their order, whoever is done first."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.ops.row_gradient import RowGradient
from scratchgpt.shapes import Array

NEIGHBOURS = 2  # micro-batches whose second uses of a parameter come after their first uses


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
        for part in backend.micro_batches(stop - start, n_time, n_params)
    ]


class GradientAccumulator:
    """One gradient vector for all micro-batches, however many threads work on them.

    Floating-point addition rounds, so the order of the terms must not depend on chance. A term that comes
    before its turn is put aside; who adds the term before it adds it, too. So nobody waits.

    The order is that of the micro-batches. A parameter that is used twice (a tied head) has a term for each
    use: of two neighbouring micro-batches, which two threads compute side by side, the first use of both
    comes first, then the second of both. So no large term is put aside for long.

    Args:
        params: whose gradient it is.
        n_micro_batches: how many there are.
        n_uses: of every parameter that each micro-batch uses more than once.
    """

    def __init__(
        self, params: ParamVector, n_micro_batches: int, n_uses: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._grads = params.map(np.zeros_like if n_micro_batches == 1 else np.empty_like)
        self._n_micro_batches = n_micro_batches
        self._n_uses = n_uses
        self._lock = Lock()
        self._turn: Counter[str] = Counter()
        self._early: defaultdict[str, dict[int, Array | RowGradient]] = defaultdict(dict)
        self._busy: set[str] = set()

    def micro_batch(self, index: int) -> "ParamVector | MicroBatchGradients":
        """Return where micro-batch `index` (0, 1, 2, ...; each once) adds its gradients.

        A single one has no order to keep and adds into the vector itself.
        """
        return self._grads if self._n_micro_batches == 1 else MicroBatchGradients(self, index)

    def add(self, name: str, index: int, use: int, gradient: Array | RowGradient) -> None:
        """Add a term, of the use 0, 1, ... of a parameter by a micro-batch, once all earlier ones are in."""
        with self._lock:
            early = self._early[name]
            early[self._number(name, index, use)] = gradient
            if name in self._busy:
                return
            self._busy.add(name)
        while True:
            with self._lock:
                turn = self._turn[name]
                if turn not in early:
                    self._busy.remove(name)
                    return
                gradient = early.pop(turn)
                self._turn[name] += 1
            _add(self._grads[name], gradient, is_first=turn == 0)

    def _number(self, name: str, index: int, use: int) -> int:
        """Return which term of a parameter's sum this is: 0, 1, ..."""
        first = index - index % NEIGHBOURS
        n_neighbours = min(NEIGHBOURS, self._n_micro_batches - first)
        return first * self._n_uses.get(name, 1) + use * n_neighbours + index - first

    def total(self) -> ParamVector:
        """Return the sum over all micro-batches, which must all be done."""
        return self._grads


def _add(total: Array, gradient: Array | RowGradient, is_first: bool) -> None:
    """Add a term to a sum in place; the first one replaces what was there."""
    if isinstance(gradient, RowGradient):
        if is_first:
            total[...] = 0.0
        gradient.add_to(total)
    elif is_first:
        total[...] = gradient
    else:
        total += gradient


class MicroBatchGradients:
    """What `Context.grads` is in one micro-batch: it keeps count of the uses of each parameter."""

    def __init__(self, accumulator: GradientAccumulator, index: int) -> None:
        self._accumulator = accumulator
        self._index = index
        self._uses: Counter[str] = Counter()

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Add the gradient of one use of a parameter."""
        use = self._uses[param.name]
        self._uses[param.name] += 1
        self._accumulator.add(param.name, self._index, use, gradient)
