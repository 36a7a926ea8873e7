"""The first wrong layer of a model made of a learner's parts, found by walking back from the loss."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from lessons.kit.naming import distance
from scratchgpt.config import GPTConfig

Say = Callable[[str], None]
TOLERANCE = 1e-7


class Witness:
    """A learner's op beside the engine's: both get the same inputs, and the first difference is told.

    What goes on through the model is the engine's result, so that one wrong layer does not make others look
    wrong.
    """

    def __init__(self, op: str, mine: Any, engine: Any, places: list[str], say: Say) -> None:
        self._op, self._mine, self._engine, self._places, self._say = op, mine, engine, places, say
        self._calls: Counter[str] = Counter()

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Compare the results of forward."""
        place = self._places[self._calls["forward"]]
        self._calls["forward"] += 1
        same_args = copy.deepcopy(args)  # random numbers among them: both draw the same
        y, saved = self._engine.forward(*args, **kwargs)
        mine, my_saved = self._mine.forward(*same_args, **kwargs)
        for found, expected in zip(_parts(mine), _parts(y), strict=True):
            if distance(found, expected) > TOLERANCE:
                self._say(f"forward of {place} ({self._op}) is not the engine's")
        return y, (saved, my_saved, place)

    def backward(self, saved: Any, *args: Any) -> tuple[Any, ...]:
        """Compare the gradients."""
        theirs, my_saved, place = saved
        gradients = self._engine.backward(theirs, *args)
        found = self._mine.backward(my_saved, *args)
        given = [gradient for gradient in found if gradient is not None]
        wanted = [gradient for gradient in gradients if gradient is not None]
        for i, (one, other) in enumerate(zip(_flat(given), _flat(wanted), strict=False)):
            if distance(one, other) > TOLERANCE:
                self._say(
                    f"backward of {place} ({self._op}): gradient number {i + 1} is wrong; "
                    "everything between it and the loss is right"
                )
        return tuple(gradients)


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


def _parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, tuple) else [y]


def _flat(gradients: list[Any]) -> list[Any]:
    """Return gradients one by one: that of a tuple of inputs may be a tuple."""
    return [np.asarray(part) for gradient in gradients for part in _parts(gradient)]
