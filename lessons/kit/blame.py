"""Find the first wrong layer of a model made of a learner's functions, walking back from the loss."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lessons.kit import files
from lessons.kit.compare import distance
from lessons.kit.crash import ENDED, Crash
from scratchgpt.config import GPTConfig

TOLERANCE = 1e-7  # relative, by norm, in float64
GRADIENTS = {  # names of each op's gradients, in order
    "embedding": ("dwte", "dwpe"),
    "layernorm": ("dx", "dweight", "dbias"),
    "linear": ("dx", "dweight", "dbias"),
    "split_heads": ("dqkv",),
    "attention": ("dq", "dk", "dv"),
    "merge_heads": ("dheads",),
    "gelu_tanh": ("dx",),
    "gelu_exact": ("dx",),
    "dropout": ("dx",),
    "linear_cross_entropy": ("dx", "dweight"),
}


@dataclass(frozen=True)
class Part:
    """An op of the model that a learner has written, and the lesson it is from."""

    lesson: int
    op: str

    @property
    def gradients(self) -> tuple[str, ...]:
        """The names of its gradients."""
        return GRADIENTS[self.op]


class ComparedOp:
    """Runs a learner's op and the engine's on the same inputs, and reports every difference.

    The model continues with the engine's result, so that one wrong layer does not make others look wrong, and
    one that raises does not end the walk.
    """

    def __init__(
        self, part: Part, mine: Any, engine: Any, places: list[str], report: Callable[[str], None]
    ) -> None:
        self._part, self._mine, self._engine, self._places = part, mine, engine, places
        self._report, self._calls = report, 0

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Compare the results of forward; return the engine's y, and what backward needs."""
        place = self._places[self._calls]
        self._calls += 1
        same_args = copy.deepcopy(args)  # they include a generator: both must draw the same numbers
        y, saved = self._engine.forward(*args, **kwargs)
        my_saved = None
        what = f"forward of {place} ({self._part.op})"
        try:
            mine, my_saved = self._mine.forward(*same_args, **kwargs)
        except ENDED as error:
            self._report_crash(what, error)
        else:
            self._report_differences(what, _as_list(mine), _as_list(y), [""] * len(_as_list(y)))
        return y, (saved, my_saved, place)

    def backward(self, saved: Any, *args: Any) -> tuple[Any, ...]:
        """Compare the gradients; return the engine's."""
        theirs, my_saved, place = saved
        gradients = self._engine.backward(theirs, *args)
        what = f"backward of {place} ({self._part.op})"
        try:
            found = self._mine.backward(my_saved, *args)
        except ENDED as error:
            self._report_crash(what, error)
        else:
            rest = "; everything between it and the loss is right"
            self._report_differences(what, list(found), list(gradients), self._part.gradients, rest)
        return tuple(gradients)

    def _report_differences(
        self, what: str, found: list[Any], right: list[Any], names: Sequence[str], rest: str = ""
    ) -> None:
        if len(found) != len(right):
            self._report(f"{what} returns {len(found)} values, expected {len(right)}{self._advice}")
            return
        for name, one, other in zip(names, found, right, strict=True):
            if other is None or distance(one, other) <= TOLERANCE:
                continue
            is_shaped = np.shape(one) == np.shape(other)
            shapes = "" if is_shaped else f", it has shape {np.shape(one)}, expected {np.shape(other)}"
            wrong = f": {name} is wrong{shapes}" if name else f" differs from the engine's{shapes}"
            self._report(f"{what}{wrong}{rest}{self._advice}")

    def _report_crash(self, what: str, error: BaseException) -> None:
        message = Crash(error, files.exercise_path(self._part.lesson)).message()
        self._report(f"{what} fails: {' '.join(message.split())}{self._advice}")

    @property
    def _advice(self) -> str:
        return f"; run: python -m lessons check {self._part.lesson}"


def places(config: GPTConfig) -> dict[str, list[str]]:
    """Return, for each op, the names of the layers that call it, in the order of the forward pass."""
    blocks = [f"h.{i}" for i in range(config.n_layer)]
    parts = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    return {
        "embedding": ["wte and wpe"],
        "layernorm": [f"{block}.{name}" for block in blocks for name in ("ln_1", "ln_2")] + ["ln_f"],
        "linear": [f"{block}.{part}" for block in blocks for part in parts],
        "split_heads": [f"{block}.attn" for block in blocks],
        "attention": [f"{block}.attn" for block in blocks],
        "merge_heads": [f"{block}.attn" for block in blocks],
        "gelu_tanh": [f"{block}.mlp" for block in blocks],
        "gelu_exact": [f"{block}.mlp" for block in blocks],
        "dropout": ["wte and wpe", *(f"{block}.{part}" for block in blocks for part in ("attn", "mlp"))],
        "linear_cross_entropy": ["lm_head and the loss"],
    }


def _as_list(y: Any) -> list[Any]:
    return list(y) if isinstance(y, tuple) else [y]
