"""The lessons run, the stubs are stubs, the answers are right, and the checker says what is wrong."""

import dataclasses
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome

from lessons.kit import check, files, graft, naming, report, stepper
from lessons.kit.exercise import Case
from lessons.kit.files import Fault, Missing
from lessons.kit.mutations import mutations
from lessons.specs import EXERCISES
from scratchgpt import GPTConfig

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted(files.LESSONS.glob("[0-9][0-9]_*.py"))
OTHER_ANSWERS = sorted((ROOT / "tests" / "lesson_answers").glob("ex*.py"))
BLOCK_NETWORK = """
import runpy, socket, sys
def refuse(*args, **kwargs):
    raise OSError("a lesson must not use the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.argv = sys.argv[1:]
sys.path.insert(0, "lessons")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def answer(number: int) -> str:
    return files.answer_path(number).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_without_a_network_and_draws_its_picture(path: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        BLOCK_NETWORK,
        str(path),
        "--fast",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    pictures = list(tmp_path.glob("*.png"))
    assert [picture.stem for picture in pictures] == [path.stem]
    assert pictures[0].stat().st_size > 5000
    assert "Predict: " in done.stdout


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_parts_in_order(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    number = int(path.stem[:2])
    assert 100 <= len(text.splitlines()) <= 300
    parts = ("**Question.**", "lesson.show(", "lesson.save(", "## Your turn", "**Sources.**")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert f"\\tag{{{number}.1}}" in text or f"({number}.1)" in text
    assert number in EXERCISES


def test_every_exercise_has_its_files() -> None:
    for number, exercise in EXERCISES.items():
        assert exercise.number == number
        assert files.lesson_path(number).exists()
        assert files.faults(number), f"lesson {number} knows no mistakes"
        assert files.exercise_path(number).exists()
        assert set(exercise.hints) == set(exercise.functions), number
    known = [fault.id for number in EXERCISES for fault in files.faults(number)]
    assert len(set(known)) == len(known)


@pytest.mark.parametrize("number", EXERCISES)
def test_a_stub_is_not_started(number: int) -> None:
    assert files.exercise_path(number).read_text(encoding="utf-8") == files.stub(number)
    found = check.check(EXERCISES[number])
    assert found.state == check.NOT_STARTED
    text = report.text_of(found)
    assert "not started" in text
    assert "Error" not in text
    assert "WRONG" not in text
    assert "raise NotImplementedError" in files.stub(number)


@pytest.mark.parametrize("number", EXERCISES)
def test_the_answer_passes(number: int) -> None:
    found = check.check(EXERCISES[number], source=answer(number))
    assert found.state == check.PASSED, report.text_of(found)
    assert "passed" in report.text_of(found)


@pytest.mark.parametrize("path", OTHER_ANSWERS, ids=lambda path: path.stem)
def test_other_right_answers_pass(path: Path) -> None:
    number = int(path.stem[2:4])
    found = check.check(EXERCISES[number], path=path, source=path.read_text(encoding="utf-8"))
    assert found.state == check.PASSED, report.text_of(found)


@pytest.mark.parametrize("number", EXERCISES)
def test_there_are_three_other_answers(number: int) -> None:
    assert len([path for path in OTHER_ANSWERS if path.stem.startswith(f"ex{number:02}_")]) >= 3


def test_every_known_mistake_is_caught_and_named_as_itself() -> None:
    table = list(mutations())
    assert table
    assert [row.fault for row in table if not row.caught] == []
    assert [(row.fault, row.names) for row in table if not row.named] == []


def test_each_patch_applies_exactly_once() -> None:
    for number in EXERCISES:
        for fault in files.faults(number):
            assert files.patched(answer(number), fault) != answer(number)
    with pytest.raises(ValueError, match="occurs 0 times"):
        files.patched("x = 1", Fault("X", 1, "y", "z", "", "", ""))


PAIRS = [number for number, exercise in EXERCISES.items() if exercise.gradients]


@pytest.mark.parametrize("number", PAIRS)
@pytest.mark.parametrize("kind", ["zeros", "noise", "upstream"])
def test_what_is_no_mistake_is_not_named(number: int, kind: str) -> None:
    """Zeros, noise, or the upstream gradient itself say nothing about where they come from."""
    exercise = EXERCISES[number]
    case = exercise.cases()[0]
    right = dict(exercise.run(files.answer(number), check.read_only(case)))
    for output in exercise.gradients:
        if output not in right:
            continue
        shape = np.shape(right[output])
        wrong = {
            "zeros": np.zeros(shape),
            "noise": np.random.default_rng(number).standard_normal(shape),
            "upstream": np.array(case.dy) if np.shape(case.dy) == shape else np.ones(shape),
        }[kind]
        if naming.distance(wrong, right[output]) < 1e-6:
            continue
        found = naming.name(exercise, [case], [{**right, output: wrong}], [right], [output])
        assert found.faults == (), (output, [fault.id for fault in found.faults])


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
    assert f"{files.exercise_path(number).name}:" in text
    assert "lessons/kit" not in text  # the learner's line, and not our stack


def test_a_change_of_an_input_is_told_on_its_line() -> None:
    source = answer(8).replace("    centred = x - x.mean", "    x -= 1.0\n    centred = x - x.mean")
    found = check.check(EXERCISES[8], source=source)
    text = report.text_of(found)
    assert found.state == check.CRASHED
    assert "x -= 1.0" in text
    assert "changes one of its inputs in place" in text


def test_a_change_of_what_forward_saved_is_told() -> None:
    source = answer(8).replace("    h = dy * weight\n", "    x_hat *= 1.5\n    h = dy * weight\n")
    text = report.text_of(check.check(EXERCISES[8], source=source))
    assert "it changes what forward saved" in text


def test_a_type_that_is_wrong_alone_is_told_as_that() -> None:
    source = answer(8).replace(
        "rstd = 1.0 / np.sqrt(variance + eps)", "rstd = np.float64(1.0) / np.sqrt(variance + eps)"
    )
    text = report.text_of(check.check(EXERCISES[8], source=source))
    assert "only the type is wrong" in text
    assert "another formula" not in text


def test_a_gradient_that_is_no_tuple_is_told() -> None:
    source = answer(3).replace("return (dx,)", "return dx")
    text = report.text_of(check.check(EXERCISES[3], source=source))
    assert "expected a tuple" in text
    assert "with the comma" in text


def test_a_syntax_error_and_a_missing_function_are_told() -> None:
    text = report.text_of(check.check(EXERCISES[8], source="def forward(x:\n    pass\n"))
    assert "SyntaxError" in text
    assert "ex08.py:1" in text
    text = report.text_of(
        check.check(EXERCISES[8], source="def forward(x, weight, bias=None, eps=1e-5):\n    return x, x\n")
    )
    assert "has no function backward" in text


def test_a_forward_alone_is_a_good_beginning() -> None:
    source = answer(8).split("def backward")[0] + "def backward(saved, dy):\n    raise NotImplementedError\n"
    found = check.check(EXERCISES[8], source=source)
    assert found.state == check.WRONG
    assert "so far so good; dx, dweight, dbias not started" in report.text_of(found)


def test_the_four_verdicts() -> None:
    """Right calculus for another formula; wrong calculus; both wrong; both right."""
    other = answer(8).replace(
        "rstd = 1.0 / np.sqrt(variance + eps)", "rstd = 1.0 / np.sqrt(variance + 2.0 * eps)"
    )
    text = report.text_of(check.check(EXERCISES[8], source=other))
    assert "your calculus is right, for another formula" in text
    assert "not a mistake I know" in text
    both = other.replace("(h - shift - x_hat * scale)", "(h - shift)")
    text = report.text_of(check.check(EXERCISES[8], source=both))
    assert "fix the forward first" in text
    assert "LN-VARIANCE" not in text
    wrong = answer(8).replace("(h - shift - x_hat * scale)", "(h - 0.5 * shift - x_hat * scale)")
    text = report.text_of(check.check(EXERCISES[8], source=wrong))
    assert (
        "term B is multiplied by 0.5, which is 1/2" in text
    )  # a mistake that no list has, told by its terms
    assert "each row of dx must sum to 0; here that is not so" in text


def test_two_mistakes_at_once_are_both_named() -> None:
    chosen = [fault for fault in files.faults(8) if fault.id in ("LN-SUM", "LN-GAMMA")]
    found = check.check(EXERCISES[8], source=files.patched(answer(8), *chosen))
    assert found.name is not None
    assert {fault.id for fault in found.name.faults} == {"LN-SUM", "LN-GAMMA"}


@pytest.mark.parametrize(
    ("number", "module"),
    [
        (2, "scratchgpt.ops.cross_entropy"),
        (3, "scratchgpt.ops.softmax"),
        (4, "scratchgpt.ops.linear"),
        (5, "scratchgpt.ops.embedding"),
        (8, "scratchgpt.ops.layernorm"),
        (10, "scratchgpt.ops.attention"),
    ],
)
def test_an_answer_is_the_engine(number: int, module: str) -> None:
    exercise, engine = EXERCISES[number], importlib.import_module(module)
    for case in exercise.cases():
        ours = dict(exercise.run(files.answer(number), check.read_only(case)))
        theirs = dict(exercise.run(engine, check.read_only(case)))
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # exp turns the rounding of a score near 1000 into an error a thousand times as large
            tolerance = 1e-10 if "1000" in case.name else 1e-12
            assert naming.distance(value, theirs[name]) < tolerance, (case.name, name)


# The stepper, in a copy of the lessons.


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a learner's files, so that the project's own stubs stay as they are."""
    for number in EXERCISES:
        (tmp_path / files.exercise_path(number).name).write_text(files.stub(number), encoding="utf-8")
    monkeypatch.setattr(files, "exercise_path", lambda number: tmp_path / f"ex{number:02}.py")
    monkeypatch.setattr(stepper, "hunt_path", lambda number: tmp_path / f"hunt{number:02}.py")
    return tmp_path


def test_the_first_screen_says_what_is_next(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stepper.main([]) == 0
    shown = capsys.readouterr().out
    first = min(EXERCISES)
    assert shown.count("not started") == len(EXERCISES)
    assert f"python -m lessons check {first}" in shown
    assert f"python lessons/{files.lesson_path(first).name}" in shown


def test_reset_keeps_a_backup(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "ex08.py").write_text("mine", encoding="utf-8")
    assert stepper.main(["reset", "8"]) == 0
    (backup,) = desk.glob("*.bak")
    assert backup.read_text() == "mine"
    assert backup.name in capsys.readouterr().out
    assert (desk / "ex08.py").read_text() == files.stub(8)
    stepper.main(["reset", "8"])
    assert len(list(desk.glob("*.bak"))) == 1


def test_hints_grow_and_reveal_leads_to_the_answer(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = []
    for level in ("1", "2", "3"):
        stepper.main(["hint", "8", "--level", level])
        lengths.append(len(capsys.readouterr().out))
    assert lengths[0] < lengths[1] < lengths[2]
    stepper.main(["reveal", "8"])
    assert "+    dx = (h - shift - x_hat * scale) * rstd" in capsys.readouterr().out
    (desk / "ex08.py").write_text(answer(8), encoding="utf-8")
    stepper.main(["reveal", "8"])
    assert "to the letter" in capsys.readouterr().out


def test_a_hunt_can_be_won(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stepper.main(["hunt", "8"])
    shown = capsys.readouterr().out
    assert "LN-MEAN" in shown
    planted = (desk / "hunt08.py").read_text(encoding="utf-8")
    assert "A wrong answer" in planted
    known = files.faults(8)
    guesses = [[a.id] for a in known] + [[a.id, b.id] for a in known for b in known if a.id < b.id]
    codes = []
    for guess in guesses:
        try:
            codes.append(stepper.main(["hunt", "8", *guess]))
        except ValueError:  # two mistakes on one line cannot both be there
            codes.append(1)
    assert codes.count(0) == 1
    assert stepper.main(["hunt", "8", "LN-NOTHING"]) == 2
    assert "is not among the mistakes" in capsys.readouterr().err


def test_unknown_lessons_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert stepper.main(["check", "99"]) == 2
    assert "lesson 99 has no exercise; expected one of" in capsys.readouterr().err
    with pytest.raises(Missing):
        files.lesson_path(99)


def test_an_endless_loop_ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(stepper, "SECONDS", 0.05)
    assert stepper.main(["check", "8"]) == 1
    assert "still ran after 0.05 s; is there a loop that never ends?" in capsys.readouterr().out


def test_a_finite_result_is_not_taken_for_a_mistake_that_overflows() -> None:
    source = answer(3).replace(
        "def forward(x):",
        "def forward(x):\n    x = np.minimum(x, 700.0)\n    return _forward(x)\n\n\ndef _forward(x):",
        1,
    )
    found = check.check(EXERCISES[3], source=source)
    assert found.state == check.WRONG
    assert found.name is not None
    assert found.name.faults == ()


def test_waves_are_not_special() -> None:
    case: Case = EXERCISES[8].cases()[0]
    x = case.inputs["x"]
    assert np.unique(x.round(9)).size == x.size
    assert abs(np.corrcoef(x.ravel(), case.dy.ravel())[0, 1]) < 0.3


# A learner's parts in the real model.

CONFIG = GPTConfig(vocab_size=23, block_size=16, n_layer=2, n_head=2, n_embd=16)


@pytest.fixture
def written(desk: Path) -> Path:
    """All exercises answered."""
    for number in EXERCISES:
        files.exercise_path(number).write_text(answer(number) + "\n", encoding="utf-8")
    return desk


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu_exact"])
def test_ten_steps_with_a_learners_parts_are_the_engines(written: Path, activation: str) -> None:
    config = dataclasses.replace(CONFIG, activation=activation)
    assert graft.difference("all", config) < 1e-9
    assert graft.blame("all", config) == "no layer is wrong by itself"
    assert graft.difference("2,13,14", config) < 1e-9  # without lesson 10, with dropout
    assert graft.blame("2,13,14", config) == "no layer is wrong by itself"


def test_the_first_wrong_layer_is_named_from_the_loss(written: Path) -> None:
    by_id = {fault.id: fault for fault in files.faults(8)}
    expected = {"LN-MEAN": "backward of ln_f (layernorm): gradient number 1", "LN-EPS": "forward of h.0.ln_1"}
    for id_, words in expected.items():
        files.exercise_path(8).write_text(files.patched(answer(8), by_id[id_]), encoding="utf-8")
        assert graft.difference("4,8", CONFIG) > 1e-9
        assert words in graft.blame("4,8", CONFIG)


@pytest.mark.parametrize(
    ("number", "right", "wrong", "words"),
    [
        (2, "dloss / targets.size", "dloss", "backward of lm_head and the loss (linear_cross_entropy)"),
        (13, "dx = dy * saved", "dx = dy", "backward of h.1.mlp (dropout): gradient number 1"),
        (14, "1.0 - beta2**t", "1.0", "the update of AdamW (lesson 14) is not the engine's"),
    ],
)
def test_the_loss_dropout_and_adamw_of_a_learner_are_blamed(
    written: Path, number: int, right: str, wrong: str, words: str
) -> None:
    text = answer(number)
    assert text.count(right) == 1
    files.exercise_path(number).write_text(text.replace(right, wrong), encoding="utf-8")
    assert graft.difference("2,13,14", CONFIG) > 1e-9
    assert words in graft.blame("2,13,14", CONFIG)


def test_what_cannot_be_grafted_is_said(desk: Path) -> None:
    with pytest.raises(Missing, match=r"ex08\.py is not started"):
        graft.difference("8", CONFIG)
    with pytest.raises(Missing, match="--mine all"):
        graft.difference("all", CONFIG)
    with pytest.raises(Missing, match="--mine has '7'; expected some of 2, 4, 5, 6, 8"):
        graft.difference("7", CONFIG)


def test_train_py_runs_with_a_learners_parts(written: Path, command: Callable[..., Outcome]) -> None:
    sizes = (
        "--model.n_layer",
        "1",
        "--model.n_embd",
        "16",
        "--model.n_head",
        "2",
        "--model.block_size",
        "16",
    )
    short = ("--training.max_steps", "3", "--training.eval_tokens", "64", "--model.dropout", "0")
    done = command("train.py", "--mine", "4,5,8", *sizes, *short, "--generation.max_new_tokens", "5")
    assert done.code == 0, done.err
    assert "your lessons 4,5,8: 10 steps in float64 differ from the engine's by" in done.out
    assert command("train.py", "--mine", "99").code == 2
