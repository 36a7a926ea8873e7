"""Call every op and check that its arrays have the annotated shapes."""

from typing import Annotated

import numpy as np
import pytest

from scratchgpt.backends import get_backend
from scratchgpt.gradcheck.op_cases import op_cases
from scratchgpt.ops import attention, dropout
from tests.support.project import CPU_BACKENDS
from tests.support.shape_checker import checked, match_shape

CASES = [(name, case.op) for name in CPU_BACKENDS for case in op_cases(get_backend(name).ops)]


@pytest.mark.parametrize(("backend_name", "op"), CASES)
def test_arrays_have_the_annotated_shapes(backend_name: str, op: str) -> None:
    case = next(case for case in op_cases(get_backend(backend_name).ops) if case.op == op)
    y, saved = checked(case.forward)(**case.inputs)
    dy = tuple(np.ones_like(part) for part in y) if isinstance(y, tuple) else np.ones_like(y)
    checked(case.backward)(saved, dy)


def test_ops_that_the_cases_wrap_in_a_lambda_are_checked_too() -> None:
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((3, 4, 5, 7)), rng.standard_normal((3, 4, 6, 7))
    y, saved = checked(attention.forward)(q, k, k, 0.3, rng)
    checked(attention.backward)(saved, y)
    y, saved = checked(dropout.forward)(q, 0.3, rng)
    checked(dropout.backward)(saved, y)


@pytest.mark.parametrize(
    ("spec", "shape", "fits"),
    [
        ("B T C", (3, 5, 28), True),
        ("B T C", (3, 5), False),
        ("B T C", (3, 5, 27), False),
        ("... C", (9, 9, 28), True),
        ("... 1", (2, 1), True),
        ("... 1", (2, 2), False),
        ("B T 3C", (3, 5, 84), True),
        ("B T 3C", (3, 5, 85), False),
    ],
)
def test_the_shape_checker_itself(spec: str, shape: tuple[int, ...], fits: bool) -> None:
    sizes = {"B": 3, "T": 5, "C": 28}
    if fits:
        match_shape(spec, shape, sizes, "here")
    else:
        with pytest.raises(AssertionError, match="here has shape"):
            match_shape(spec, shape, sizes, "here")


def test_a_wrong_annotation_is_caught() -> None:
    def transpose(x: Annotated[np.ndarray, "T C"]) -> Annotated[np.ndarray, "T C"]:
        return x.T

    with pytest.raises(AssertionError, match="result has shape"):
        checked(transpose)(np.zeros((2, 3)))
