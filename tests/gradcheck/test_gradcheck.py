"""The gradient checker itself: what passes, what fails, and what it reports."""

import subprocess
import sys

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.gradcheck import check, directional_derivative, numerical_gradient

X = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])


def test_numerical_gradient_of_a_known_function() -> None:
    before = X.copy()
    gradient = numerical_gradient(lambda x: float((x**3).sum()), X)
    np.testing.assert_allclose(gradient, 3 * X**2, rtol=1e-9)
    np.testing.assert_array_equal(X, before)


def test_directional_derivative_of_a_known_function() -> None:
    direction = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    found = directional_derivative(lambda x: float((x**3).sum()), X, direction)
    assert found == pytest.approx(float((3 * X**2 * direction).sum()), rel=1e-9)


def square(x):
    return x * x, x


def test_a_correct_gradient_passes() -> None:
    (result,) = sg.gradcheck.check(square, lambda x, dy: 2 * x * dy, {"x": X}, name="square")
    assert result.passed
    assert (result.op, result.tensor) == ("square", "x")
    assert result.error < 1e-9


def test_a_gradient_that_must_be_zero_is_marked() -> None:
    (result,) = check(lambda x: (x - x, x), lambda x, dy: 0 * dy, [X])
    assert result.passed and result.is_zero
    (result,) = check(square, lambda x, dy: 2 * x * dy, [X])
    assert not result.is_zero
    (result,) = check(square, lambda x, dy: 0 * dy, [X])
    assert not result.passed and not result.is_zero


def test_dy_is_not_what_a_caller_would_draw_as_the_input() -> None:
    seen = []
    check(square, lambda x, dy: seen.append(dy) or 2 * x * dy, [np.random.default_rng(0).normal(size=(3, 8))])
    assert not np.array_equal(seen[0], np.random.default_rng(0).normal(size=(3, 8)))


def test_positional_inputs_are_named_after_the_parameters() -> None:
    (result,) = check(square, lambda x, dy: 2 * x * dy, [X])
    assert result.passed
    assert result.tensor == "x"


@pytest.mark.parametrize(
    ("backward", "note"),
    [
        (lambda x, dy: x * dy, "backward"),
        (lambda x, dy: (2 * x * dy).T, "shape (3, 2), expected (2, 3)"),
        (lambda x, dy: (2 * x * dy).astype(np.float32), "dtype float32, expected float64"),
        (lambda x, dy: (2 * x * dy, dy), "2 gradients for 1 inputs (x)"),
        (lambda x, dy: np.full_like(x, np.nan), "nan"),
    ],
)
def test_a_wrong_gradient_fails_with_a_note(backward, note: str) -> None:
    (result,) = check(square, backward, {"x": X})
    assert not result.passed
    assert note in result.note


def test_one_wrong_element_is_enough() -> None:
    def backward(x, dy):
        dx = 2 * x * dy
        dx[1, 2] *= 1 + 1e-5
        return dx

    (result,) = check(square, backward, {"x": X})
    assert not result.passed
    assert "[1, 2]" in result.note


def test_inputs_and_upstream_are_read_only() -> None:
    def forward(x):
        x *= 2.0
        return x, None

    with pytest.raises(ValueError, match="read-only"):
        check(forward, lambda saved, dy: dy, {"x": X})

    def backward(x, dy):
        dy *= 2 * x
        return dy

    with pytest.raises(ValueError, match="read-only"):
        check(square, backward, {"x": X})


def test_integers_and_floats_are_passed_through_and_tuples_of_outputs_work() -> None:
    def forward(x, rows, scale):
        return (x[rows] * scale, x.sum()), (x.shape, rows, scale)

    def backward(saved, dy):
        shape, rows, scale = saved
        dx = np.full(shape, dy[1])
        np.add.at(dx, rows, dy[0] * scale)
        return (dx,)

    (result,) = check(forward, backward, {"x": X, "rows": np.array([0, 0, 1]), "scale": 3.0})
    assert result.passed, result


def test_a_softmax_backward_of_zeros_is_caught() -> None:
    """It would pass if the loss were a plain sum, because probabilities always sum to 1."""
    from scratchgpt.ops import softmax

    (result,) = check(softmax.forward, lambda saved, dy: np.zeros_like(dy), {"x": X})
    assert not result.passed


def test_the_command_prints_a_table_and_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scratchgpt.gradcheck", "--backend", "reference"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=None,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "layernorm" in done.stdout
    assert "0 wrong" in done.stdout
    assert done.stdout.count("ok") > 100


@pytest.mark.parametrize("inputs", [[np.arange(3)], {"x": [[1.0, 2.0]]}])
def test_nothing_to_check_is_an_error_instead_of_a_success(inputs) -> None:
    with pytest.raises(ValueError, match="no floating-point array among the inputs"):
        check(square, lambda x, dy: 99 * x * dy, inputs)


def test_too_many_inputs_are_an_error() -> None:
    with pytest.raises(TypeError, match="too many positional arguments"):
        check(square, lambda x, dy: 2 * x * dy, [X, X])
