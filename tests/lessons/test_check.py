"""The check of an exercise: states, verdicts, and what it says of right and wrong results."""

import re

import numpy as np
import pytest

from lessons.kit import check, compare, files, report, variants
from lessons.specs import EXERCISES
from tests.lessons.learner import answer, checked, names


@pytest.mark.parametrize("number", EXERCISES)
def test_a_raise_in_the_learners_file_fails_the_check(number: int) -> None:
    function = EXERCISES[number].functions[0]
    source = re.sub(
        rf"(def {function}\(.*?\):\n)",
        r"\1    raise KeyError('canary')\n",
        answer(number),
        count=1,
        flags=re.S,
    )
    found = check.check(EXERCISES[number], source=source)
    assert found.state == check.CRASHED
    text = report.text_of(found)
    assert "canary" in text
    assert f"{files.shown(files.exercise_path(number))}:" in text
    assert "lessons/kit" not in text  # the learner's line, not our stack


def test_a_wrong_dtype_alone_is_reported_as_that() -> None:
    source = answer(8).replace(
        "rstd = 1.0 / np.sqrt(variance + eps)", "rstd = np.float64(1.0) / np.sqrt(variance + eps)"
    )
    text = report.text_of(check.check(EXERCISES[8], source=source))
    assert "only the dtype is wrong" in text
    assert "another formula" not in text


@pytest.mark.parametrize("number", [9, 10])
@pytest.mark.parametrize("mask", ["-50.0", "-100.0"])
def test_a_mask_that_is_not_low_enough_is_not_called_a_zero(number: int, mask: str) -> None:
    found, text = checked(number, ("scores, -np.inf", f"scores, {mask}"))
    assert names(found) == [{9: "ATT-MASK-LOW", 10: "ATB-MASK-LOW"}[number]]
    assert "use -np.inf" in text


@pytest.mark.parametrize("number", [9, 10])
@pytest.mark.parametrize(
    ("mask", "name"),
    [
        ("np.where(SEEN, scores, -1e4)", "MASK-LOWER"),
        ("np.where(SEEN, scores, -3000.0)", "MASK-LOWER"),
        ("scores + np.where(SEEN, 0.0, -100.0)", "MASK-ADDED"),
        ("scores + np.where(SEEN, 0.0, -1e4)", "MASK-ADDED"),
        ("scores + np.where(SEEN, 0.0, np.finfo(q.dtype).min).astype(q.dtype)", ""),
        ("np.where(SEEN, scores, np.finfo(q.dtype).min)", ""),
        ("scores + np.where(SEEN, 0.0, -np.inf).astype(q.dtype)", ""),
    ],
)
def test_a_finite_mask_passes_only_if_no_score_comes_near_it(number: int, mask: str, name: str) -> None:
    seen = {9: "visible", 10: "np.tri(T, S, S - T, dtype=bool)"}[number]
    found, _ = checked(number, (f"np.where({seen}, scores, -np.inf)", mask.replace("SEEN", seen)))
    assert names(found) == ([f"{ {9: 'ATT', 10: 'ATB'}[number] }-{name}"] if name else [])
    assert (found.state == check.PASSED) == (not name)


CLEAR = "    for gradient in grads.values():\n        gradient[...] = 0.0\n"
STEP = "        params[name] -= lr * grads[name]\n"
EMPTY = "    for gradient in grads.values():\n        gradient.fill(0)\n"


@pytest.mark.parametrize(
    "changes",
    [
        ((STEP, STEP + EMPTY),),
        ((CLEAR, ""), (STEP, STEP + EMPTY)),
        ((CLEAR, "    grads = {name: np.zeros_like(value) for name, value in params.items()}\n"),),
    ],
)
def test_a_step_leaves_its_gradient_in_grads(changes: tuple[tuple[str, str], ...]) -> None:
    found, text = checked(7, *changes)
    assert found.state == check.WRONG
    assert "grads after step 1 WRONG" in text
    assert "after train_step, grads must hold the gradient of this step" in text


@pytest.mark.parametrize("small", ["1e-7", "1e-8", "1e-9"])
def test_a_small_number_in_the_denominator_does_not_pass(small: str) -> None:
    found, text = checked(3, ("exp / total", f"exp / (total + {small})"))
    assert found.state == check.WRONG
    assert "Violated the probabilities of a row must sum to 1" in text
    assert names(found) == (["SM-EPS"] if small == "1e-8" else [])
    yours, expected = re.findall(r"(?:yours|expected) ([\d.]+)", text)[:2]
    assert yours != expected


def test_an_invariant_is_not_judged_for_a_result_of_another_shape() -> None:
    found, text = checked(4, ("rows.T @ drows", "x.swapaxes(-1, -2) @ dy"))
    assert found.outputs("WRONG") == ["dweight"]
    assert "dweight WRONG has shape (3, 7, 7), expected (7, 7)" in text
    assert "Violated" not in text


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        (2, "(rows * scale).reshape(probs.shape)", "(rows * scale).reshape(probs.shape).astype(np.float32)"),
        (3, "return (dx,)", "return (dx.astype(np.float32),)"),
        (4, "return dx, dweight, dbias", 'return dx, dweight.astype("float32"), dbias'),
    ],
)
def test_rounding_violates_no_invariant(number: int, old: str, new: str) -> None:
    _, text = checked(number, (old, new))
    assert "has dtype float32, expected float64" in text
    assert "only the dtype is wrong" in text
    assert "Violated" not in text
    assert "not one of the known mistakes" not in text


def test_counts_that_overflow_do_not_pass() -> None:
    for kind in ("uint8", "int16"):
        found, _ = checked(1, ("dtype=np.int64", f"dtype=np.{kind}"))
        assert names(found) == [f"BG-{kind.upper()}"]


def test_a_wrong_form_of_gelu_does_not_hold_back_the_other() -> None:
    _, text = checked(6, ("erfc(-x / math.sqrt(2.0))", "erfc(-x)"))
    assert "dx, exact waiting" in text
    assert "dx, tanh ok" in text


def test_a_function_of_another_name_is_found() -> None:
    _, text = checked(0, ("def numerical_gradient", "def numerical_grad"))
    assert "expected numerical_gradient; found numerical_grad" in text


def test_a_correct_forward_alone_is_right_so_far() -> None:
    source = answer(8).split("def backward")[0] + "def backward(saved, dy):\n    raise NotImplementedError\n"
    found = check.check(EXERCISES[8], source=source)
    assert found.state == check.WRONG
    assert "right so far; not started: dx, dweight, dbias" in report.text_of(found)


def test_the_four_verdicts() -> None:
    """Right calculus for another formula; wrong calculus; both wrong; both right."""
    other = answer(8).replace(
        "rstd = 1.0 / np.sqrt(variance + eps)", "rstd = 1.0 / np.sqrt(variance + 2.0 * eps)"
    )
    text = report.text_of(check.check(EXERCISES[8], source=other))
    assert "your calculus is right, but for another formula" in text
    assert "not one of the known mistakes" in text
    both = other.replace("(dx_hat - mean - x_hat * projection)", "(dx_hat - mean)")
    text = report.text_of(check.check(EXERCISES[8], source=both))
    assert "fix the forward first" in text
    assert "LN-VARIANCE" not in text
    wrong = answer(8).replace("(dx_hat - mean -", "(dx_hat - 0.5 * mean -")
    text = report.text_of(check.check(EXERCISES[8], source=wrong))
    assert (
        "the mean term is multiplied by 0.5, which is 1/2" in text
    )  # not a known mistake, but terms describe it
    assert re.search("Violated .* each row of dx must sum to 0", text)


def test_no_more_digits_are_claimed_than_a_number_has() -> None:
    right = np.array([1.0, 2.0, 3.0])

    def said(error: float, case: str) -> str:
        (line,) = compare.compare({"y": right + error}, {"y": right}, case, 1e-10)
        return line.text

    assert said(0.0, "first") == "equal"
    assert said(0.0, variants.FLOAT32) == "equal (in float32)"
    assert said(1e-12, "first") == "agrees to 12 digits"
    assert said(4e-16, "first") == "agrees to 15 digits"
    assert said(1e-12, variants.FLOAT32) == "agrees to 7 digits (in float32)"
    assert said(1e-5, variants.FLOAT32) == "agrees to 5 digits (in float32)"
