"""Exceptions in the learner's code: each is explained, with the learner's line."""

import re

import pytest

from lessons.kit import check, report
from lessons.specs import EXERCISES
from tests.lessons.learner import answer, checked


def test_a_line_that_changes_an_input_in_place_is_shown() -> None:
    source = answer(8).replace("    centered = x - x.mean", "    x -= 1.0\n    centered = x - x.mean")
    found = check.check(EXERCISES[8], source=source)
    text = report.text_of(found)
    assert found.state == check.CRASHED
    assert "x -= 1.0" in text
    assert "changes one of its inputs in place" in text


@pytest.mark.parametrize("how", ["raise SystemExit", "import sys; sys.exit(0)", "exit()"])
def test_code_that_exits_the_program_does_not_pass(how: str) -> None:
    found, text = checked(0, ("    point = np", f"    {how}\n    point = np"))
    assert found.state == check.CRASHED
    assert "your code exited the program at line 17" in text
    found = check.check(EXERCISES[0], source="import sys\nsys.exit()\n")
    assert "your code exited the program at line 2" in report.text_of(found)


@pytest.mark.parametrize(
    ("number", "old", "new", "is_summed"),
    [
        (5, "wpe[:n_positions]", "wpe", False),
        (
            2,
            "rows[np.arange(len(rows)), targets.reshape(-1)]",
            "probs[np.arange(len(probs)), targets]",
            False,
        ),
        (3, "(probs * dprobs).sum(axis=-1, keepdims=True)", "np.diag(probs)", False),
        (3, "(probs * dprobs).sum(axis=-1, keepdims=True)", "(probs * dprobs).sum(axis=-1)", True),
    ],
)
def test_keepdims_is_advised_where_a_reduction_removed_an_axis(
    number: int, old: str, new: str, is_summed: bool
) -> None:
    _, text = checked(number, (old, new))
    assert ("keepdims" in text) == is_summed
    assert " is (3, 5" in text  # the shapes of the line


def test_a_product_of_wrong_shapes_shows_them() -> None:
    _, text = checked(9, ("q @ k.swapaxes(2, 3)", "q @ k"))
    assert "is a transpose missing" in text
    assert "q is (3, 4, 5, 7), k is (3, 4, 5, 7)" in text


def test_a_syntax_error_and_a_missing_function_are_reported() -> None:
    text = report.text_of(check.check(EXERCISES[8], source="def forward(x:\n    pass\n"))
    assert "SyntaxError" in text
    assert "lessons/exercises/08_layernorm.py:1: def forward(x:" in text
    text = report.text_of(
        check.check(EXERCISES[8], source="def forward(x, weight, bias=None, eps=1e-5):\n    return x, x\n")
    )
    assert "has no function backward" in text


def test_conflict_markers_of_git_are_explained() -> None:
    source = answer(8).replace(
        "    dx_hat = dy * weight\n",
        "<<<<<<< HEAD\n    dx_hat = dy\n=======\n    dx_hat = dy * weight\n>>>>>>> mine\n",
    )
    text = report.text_of(check.check(EXERCISES[8], source=source))
    assert re.search(r"08_layernorm\.py:\d+: <<<<<<< HEAD\n", text)
    assert "git could not merge this file: keep your lines" in text
