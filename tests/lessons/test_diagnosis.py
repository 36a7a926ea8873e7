"""Diagnoses: what a wrong result is, and when nothing can be said about it."""

import numpy as np
import pytest

from lessons.kit import check, compare, diagnosis, files, variants
from lessons.specs import EXERCISES
from tests.lessons.learner import answer, checked, names

MANY_MISTAKES = (7, 8, 10, 12)  # it takes seconds to try all of these and their pairs
PAIRS = [
    pytest.param(number, marks=pytest.mark.slow if number in MANY_MISTAKES else ())
    for number, exercise in EXERCISES.items()
    if exercise.gradients
]


@pytest.mark.parametrize("number", PAIRS)
@pytest.mark.parametrize("kind", ["zeros", "noise", "upstream"])
def test_results_that_identify_no_mistake_are_not_named(number: int, kind: str) -> None:
    """Zeros, noise and the upstream gradient itself do not reveal where they come from."""
    exercise = EXERCISES[number]
    case = exercise.cases()[0]
    right = dict(exercise.run(files.answer(number), variants.read_only(case)))
    for output in exercise.gradients:
        if output not in right:
            continue
        shape = np.shape(right[output])
        wrong = {
            "zeros": np.zeros(shape),
            "noise": np.random.default_rng(number).standard_normal(shape),
            "upstream": np.array(case.dy) if np.shape(case.dy) == shape else np.ones(shape),
        }[kind]
        if compare.distance(wrong, right[output]) < 1e-6:
            continue
        found = diagnosis.diagnose(exercise, [case], [{**right, output: wrong}], [right], [output])
        assert found.faults == (), (output, [fault.id for fault in found.faults])


def test_a_softmax_along_the_first_axis_is_one_mistake() -> None:
    change = "x.max(axis=-1", "x.max(axis=0"
    found, text = checked(3, change, ("exp.sum(axis=-1", "exp.sum(axis=0"))
    assert names(found) == ["SM-FIRST-AXIS"]
    assert "large score" not in text


def test_a_mean_over_the_batch_instead_of_a_sum_is_recognized() -> None:
    _, text = checked(5, ("dx.sum(axis=0)", "dx.mean(axis=0)"))
    assert "which is 1/B (batch size)" in text


def test_a_fixed_h_is_named_with_both_numbers() -> None:
    found, text = checked(0, ("    point = np", "    h = 1e-6\n    point = np"))
    assert names(found) == ["GC-FIXED-H"]
    assert "yours 8.20734, expected 8.20992" in text
    assert " true " not in text


def test_a_mistake_that_shows_in_what_is_right_is_not_named() -> None:
    """Around 1000 both masks give the same numbers; at small scores only one of them is wrong."""
    exercise, number = EXERCISES[9], 9
    small, *_, large, _ = exercise.cases()
    assert large.name == "scores around 1000"
    low = files.module_of(answer(9).replace("scores, -np.inf", "scores, -50.0"), "low")
    mine, right = (dict(exercise.run(module, large)) for module in (low, files.answer(number)))
    wrong = ["probs, large scores"]
    zero = [fault for fault in files.faults(9) if fault.id == "ATT-MASK-ZERO"]
    for passed, known in (((), zero), ((small,), [])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "faults", lambda _: zero)
            found = diagnosis.diagnose(exercise, [large], [mine], [right], wrong, passed)
        assert list(found.faults) == known


@pytest.mark.parametrize(
    ("number", "end", "name"),
    [
        (2, "axis=-1, keepdims=True)\n    exp = ", "CE-ONE-MAX"),
        (9, "axis=axis, keepdims=True)\n    exp", "ATT-ONE-MAX"),
        (10, "axis=-1, keepdims=True))\n", "ATB-ONE-MAX"),
    ],
)
def test_rows_need_a_maximum_of_their_own(number: int, end: str, name: str) -> None:
    found, _ = checked(number, (end, end.partition("keepdims=True")[2]))
    assert names(found) == [name]


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        (1, "probs[tokens[:-1], tokens[1:]]", "probs[tokens[1:], tokens[1:]]"),
        (2, "shifted - np.log(total)", "0.0 * shifted - np.log(total)"),
    ],
)
def test_a_single_number_is_not_called_a_multiple(number: int, old: str, new: str) -> None:
    _, text = checked(number, (old, new))
    assert "the correct result times" not in text
    assert "not one of the known mistakes" in text


def test_a_gradient_that_overwrites_is_reported_by_the_accumulated_one() -> None:
    change = ("grads[name] += gradient", 'grads[name] = gradient + (0.0 if name == "w2" else grads[name])')
    found, text = checked(7, change)
    assert names(found) == ["MLP-OVERWRITE"]
    assert "dw2 accumulated twice WRONG" in text
    assert "dw2 ok" in text
    assert "Violated" not in text


@pytest.mark.parametrize("order", ["dk, dq, dv", "dq, dv, dk", "dk, dv, dq", "dv, dq, dk"])
def test_gradients_in_another_order_are_recognized(order: str) -> None:
    found, text = checked(10, ("return dq, dk, dv", f"return {order}"))
    assert names(found) == []
    for output, other in zip(("dq", "dk", "dv"), order.split(", "), strict=True):
        assert (f"your {output} is the correct {other}" in text) == (output != other)


@pytest.mark.parametrize(
    ("number", "old", "new", "words"),
    [
        (2, "return loss, (probs, targets)", "return (probs, targets), loss", "expected (loss, saved)"),
        (9, "return y, probs", "return probs, y", "your y is the correct probs"),
        (8, "return dx, dweight, dbias", "return dx, dbias, dweight", "your dbias is the correct dweight"),
    ],
)
def test_results_in_another_order_are_recognized(number: int, old: str, new: str, words: str) -> None:
    found, text = checked(number, (old, new))
    assert words in text
    assert names(found) == []


def test_a_second_wrong_result_that_the_mistake_does_not_explain_is_mentioned() -> None:
    noise = (
        "(dx_hat - mean - x_hat * projection) * rstd",
        "(dx_hat - mean - x_hat * projection) * rstd + x_hat**2",
    )
    mistake = ("dweight = (dy * x_hat).sum", "dweight = (dx_hat * x_hat).sum")
    found, text = checked(8, noise, mistake)
    assert names(found) == ["LN-DGAMMA-H"]
    assert "Unexplained dx is wrong, too, and not explained by this" in text
    _, text = checked(8, mistake)
    assert "Unexplained" not in text
    _, text = checked(8, noise)
    assert "not one of the known mistakes" in text
    assert "Unexplained" not in text


@pytest.mark.parametrize("number", [number for number, exercise in EXERCISES.items() if exercise.terms])
def test_no_term_is_called_by_a_letter_that_stands_for_a_size(number: int) -> None:
    exercise = EXERCISES[number]
    assert all(len(term) > 1 for term in exercise.equations)
    for terms in exercise.terms.values():
        assert set(terms(exercise.cases()[0])) <= set(exercise.equations)


def test_a_mean_over_the_whole_array_is_recognized() -> None:
    for name, id_ in (("dx_hat", "LN-MEAN-WHOLE"), ("(dx_hat * x_hat)", "LN-PROJECTION-WHOLE")):
        found, text = checked(8, (f"= {name}.mean(axis=-1, keepdims=True)", f"= {name}.mean()"))
        assert names(found) == [id_]
        assert "over the whole array instead of each row" in text


def test_two_mistakes_at_once_are_both_named() -> None:
    chosen = [fault for fault in files.faults(8) if fault.id in ("LN-SUM", "LN-GAMMA")]
    found = check.check(EXERCISES[8], source=files.patched(answer(8), *chosen))
    assert found.diagnosis is not None
    assert {fault.id for fault in found.diagnosis.faults} == {"LN-SUM", "LN-GAMMA"}


def test_a_finite_result_is_not_taken_for_a_mistake_that_overflows() -> None:
    source = answer(3).replace(
        "def forward(x):",
        "def forward(x):\n    x = np.minimum(x, 700.0)\n    return _forward(x)\n\n\ndef _forward(x):",
        1,
    )
    found = check.check(EXERCISES[3], source=source)
    assert found.state == check.WRONG
    assert found.diagnosis is not None
    assert found.diagnosis.faults == ()
