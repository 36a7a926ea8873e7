"""Gradient accumulation over micro-batches: the sum is taken in a fixed order, whichever finishes first."""

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

GROUP = 2  # micro-batches in a group; all first uses of a parameter in it are added before any second use


def cut_batch(n_rows: int, n_time: int, n_params: int, backend: Backend, accumulate: int) -> list[slice]:
    """Return the micro-batches of a batch, as slices of rows.

    The batch is split into `accumulate` shares of about equal size, at least one row each, and the backend
    splits each share into micro-batches. A thread frees the activations of one micro-batch before it starts
    the next.

    Raises:
        InputError: `accumulate` is less than 1.
    """
    if accumulate < 1:
        raise InputError(f"accumulate is {accumulate}; expected at least 1")
    n_shares = min(n_rows, accumulate)
    bounds = [n_rows * share // n_shares for share in range(n_shares + 1)]
    return [
        slice(start + part.start, start + part.stop)
        for start, stop in itertools.pairwise(bounds)
        for part in backend.micro_batches(stop - start, n_time, n_params)
    ]


class GradientAccumulator:
    """One gradient vector for all micro-batches, whatever the number of threads.

    Floating-point addition rounds, so the result depends on the order of the terms, and that order must not
    depend on which thread is faster. Each parameter's terms are numbered. A term that arrives before its
    turn is put aside; the thread that adds the term before it then adds it as well. No thread ever waits.

    Example: three micro-batches 0, 1, 2 on two threads, and a parameter that each uses once. Its gradient is
    (g0 + g1) + g2.

        g1 arrives      it is g0's turn, so g1 is put aside             total = -
        g0 arrives      g0 is set; now it is g1's turn: it is added     total = g0 + g1
        g2 arrives      it is g2's turn: it is added                    total = g0 + g1 + g2

    A parameter that is used twice (the weight of a tied head) has a term per use, in the order of backward:
    first that of the head, a whole matrix, then that of the embedding, a few rows. Two adjacent
    micro-batches, which two threads compute at the same time, form a group: the first uses of both are added
    before the second uses, so that no matrix is put aside for long. With three micro-batches the order is

        number       0            1            2             3             4            5
        term         0, 1st use   1, 1st use   0, 2nd use    1, 2nd use    2, 1st use   2, 2nd use

    Args:
        params: the weights, which give the gradient its layout and dtype.
        n_micro_batches: number of micro-batches.
        n_uses: how often a micro-batch uses each parameter, where it is more than once.
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

        A single micro-batch has no order to keep, so it adds into the vector itself.
        """
        return self._grads if self._n_micro_batches == 1 else MicroBatchGradients(self, index)

    def add(self, name: str, index: int, use: int, gradient: Array | RowGradient) -> None:
        """Take the gradient from use 0, 1, ... of a parameter in micro-batch `index`.

        It enters the sum as soon as all earlier terms have; until then it is put aside.
        """
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
        """Return the position of this term in the parameter's sum: 0, 1, ..."""
        first = index - index % GROUP
        n_in_group = min(GROUP, self._n_micro_batches - first)
        return first * self._n_uses.get(name, 1) + use * n_in_group + index - first

    def total(self) -> ParamVector:
        """Return the sum over all micro-batches, which must all have finished."""
        return self._grads


def _add(total: Array, gradient: Array | RowGradient, is_first: bool) -> None:
    """Add a term to a sum in place; the first term overwrites it."""
    if isinstance(gradient, RowGradient):
        if is_first:
            total[...] = 0.0
        gradient.add_to(total)
    elif is_first:
        total[...] = gradient
    else:
        total += gradient


class MicroBatchGradients:
    """`Context.grads` of one micro-batch: it counts the uses of each parameter."""

    def __init__(self, accumulator: GradientAccumulator, index: int) -> None:
        self._accumulator = accumulator
        self._index = index
        self._uses: Counter[str] = Counter()

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Add the gradient of one use of a parameter."""
        use = self._uses[param.name]
        self._uses[param.name] += 1
        self._accumulator.add(param.name, self._index, use, gradient)
