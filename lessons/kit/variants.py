"""The same inputs in other forms: read-only, non-contiguous, float32."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lessons.kit.exercise import Case
from scratchgpt.shapes import Array

FLOAT32 = "float32"  # the name of the case


def read_only(case: Case) -> Case:
    """Return the case with arrays that raise when they are written to."""

    def locked(array: Array) -> Array:
        view = array.view()
        view.flags.writeable = False
        return view

    return _changed(case, case.name, locked)


def harder(case: Case) -> list[Case]:
    """Return the case with non-contiguous arrays, then with float32 arrays."""

    def strided(x: Array) -> Array:
        if not x.ndim or x.dtype.kind != "f":
            return x
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan)
        wide[..., ::2] = x
        view: Array = wide[..., ::2]
        return view

    def in_float32(x: Array) -> Array:
        return x.astype(np.float32) if x.dtype.kind == "f" else x

    return [_changed(case, "non-contiguous inputs", strided), _changed(case, FLOAT32, in_float32)]


def _changed(case: Case, name: str, change: Callable[[Array], Array]) -> Case:
    """Return the case with every array changed, including those in tuples."""

    def each(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(each(part) for part in value)
        return change(value) if isinstance(value, np.ndarray) else value

    inputs = {key: each(value) for key, value in case.inputs.items()}
    return replace(case, name=name, inputs=inputs, dy=each(case.dy))
