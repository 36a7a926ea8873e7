"""What forward and backward return: tuples of the right form, the same each time."""

import pytest

from lessons.kit import check, report
from lessons.specs import EXERCISES
from tests.lessons.learner import answer, checked


def test_a_change_of_what_forward_saved_is_reported() -> None:
    source = answer(8).replace("    dx_hat = dy * weight\n", "    x_hat *= 1.5\n    dx_hat = dy * weight\n")
    text = report.text_of(check.check(EXERCISES[8], source=source))
    assert "it modifies what forward saved" in text


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        (5, "dwte = np.zeros_like(wte)", "dwte = np.random.default_rng().standard_normal(wte.shape)"),
        (8, "dx_hat = dy * weight\n", "dx_hat = dy * weight * np.random.default_rng().random()\n"),
    ],
)
def test_random_numbers_are_not_called_a_change_of_what_was_saved(number: int, old: str, new: str) -> None:
    _, text = checked(number, (old, new))
    assert "called twice with the same saved, returned different numbers" in text
    assert "np.empty" in text
    assert "modifies what forward saved" not in text


@pytest.mark.parametrize("number", [4, 8])
def test_a_gradient_of_an_input_that_was_not_given_must_be_none(number: int) -> None:
    _, text = checked(number, (" if has_bias else None", ""))
    assert "as dbias, although that input was not given; expected (dx, dweight, None)" in text
    _, text = checked(number, ("return dx, dweight, dbias", "return (dx, dweight, dbias)[: 2 + has_bias]"))
    assert "returned a tuple of 2; expected a tuple, (dx, dweight, None)" in text
    found, text = checked(number, ("return dx, dweight, dbias", "return None, dweight, dbias"))
    assert found.state == check.WRONG
    assert "dx WRONG is None" in text
    assert "dweight ok" in text


def test_a_gradient_of_the_tokens_does_not_pass() -> None:
    found, text = checked(5, ("return dwte, dwpe", "return None, dwte, dwpe"))
    assert found.state == check.CRASHED
    assert "backward returned a tuple of 3; expected a tuple, (dwte, dwpe)" in text


@pytest.mark.parametrize(
    ("number", "old", "new", "words"),
    [
        (7, "\n    return loss\n", "\n", "loss at step 1 WRONG is None"),
        (0, "    return gradient\n", "", "gradient WRONG is None"),
        (3, "    return (dx,)\n", "", "backward returned None (is the return missing?)"),
        (3, "    return probs, (probs,)\n", "", "forward returned None (is the return missing?)"),
    ],
)
def test_a_missing_return_is_reported(number: int, old: str, new: str, words: str) -> None:
    _, text = checked(number, (old, new))
    assert words in text
    assert "nan" not in text


def test_a_gradient_without_a_tuple_is_reported() -> None:
    source = answer(3).replace("return (dx,)", "return dx")
    text = report.text_of(check.check(EXERCISES[3], source=source))
    assert "expected a tuple" in text
    assert "with the comma" in text
