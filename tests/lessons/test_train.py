"""`python -m lessons train`: a GPT made of a learner's functions, trained by the engine's loop."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lessons.kit import files, stepper
from lessons.kit import train as train_module
from tests.lessons.learner import answer
from tests.support.project import Outcome

SMALL = (
    *("--model.n_layer", "1", "--model.n_embd", "16", "--model.n_head", "2", "--model.block_size", "16"),
    *("--training.max_steps", "3", "--training.eval_tokens", "64", "--generation.max_new_tokens", "5"),
)


@pytest.fixture
def train(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run `python -m lessons train` in this process, in an empty folder, with all exercises answered."""
    empty = tmp_path / "project"
    empty.mkdir()
    monkeypatch.chdir(empty)

    def run(*arguments: str) -> Outcome:
        try:
            code = stepper.main(["train", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def test_a_gpt_is_trained_with_a_learners_functions(train: Callable[..., Outcome]) -> None:
    done = train("4,5,8", *SMALL)
    assert done.code == 0, done.err
    assert (
        "with your functions of lessons 4, 5, 8, over 10 steps in float64 the loss differs from the "
        "engine's by at most" in done.out
    )
    assert Path("runs/fables/best.safetensors").exists()
    assert "more text: python sample.py runs/fables" in done.out


def test_all_takes_every_exercise_that_is_started(train: Callable[..., Outcome]) -> None:
    for number in (2, 6, 10, 11, 13, 14):
        files.reset(number)
    assert train("all", *SMALL, "--print-config").out.startswith("data: ")
    assert "with your functions of lessons 4, 5, 8, " in train("all", *SMALL).out


def test_the_learners_functions_are_the_ones_that_run(
    train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def grafted(settings: object, backend: object, *_: str) -> int:
        from scratchgpt.backends import Backend

        assert isinstance(backend, Backend)
        assert backend.ops.layernorm.forward.__module__ == "lessons.kit.adapters"
        assert backend.ops.linear.forward.__module__.startswith("scratchgpt")
        return 0

    monkeypatch.setattr(train_module, "run_training", grafted)
    assert train("8", *SMALL).code == 0


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("99", "cannot train with lesson '99'; expected some of 2, 4, 5, 6, 8, 10, 11, 13, 14, e.g. 4,5,8"),
        ("7", "cannot train with lesson '7'; expected some of"),
        ("4,", "cannot train with lesson ''; expected some of"),
        ("four", "cannot train with lesson 'four'; expected some of"),
        ("²", "cannot train with lesson '²'; expected some of"),
    ],
)
def test_wrong_numbers_are_refused(train: Callable[..., Outcome], numbers: str, message: str) -> None:
    done = train(numbers, *SMALL)
    assert done.code == 2
    assert done.err.startswith("python -m lessons train ")
    assert f": error: {message}" in done.err
    assert not Path("runs").exists()


def test_an_exercise_that_is_not_started_is_refused(train: Callable[..., Outcome]) -> None:
    files.reset(8)
    done = train("4,8", *SMALL)
    assert done.code == 2
    assert (
        "lessons/exercises/08_layernorm.py is not started; write it first, or leave out lesson 8" in done.err
    )
    assert not Path("runs").exists()


def test_attention_without_dropout_is_refused_where_the_model_has_dropout(
    train: Callable[..., Outcome],
) -> None:
    done = train("10", *SMALL, "--model.dropout", "0.1")
    assert done.code == 2
    assert "train with --model.dropout 0, or leave out lesson 10" in done.err


def test_the_options_are_those_of_train_py(train: Callable[..., Outcome]) -> None:
    assert "--training.max_steps" in train("4", "--help").out
    done = train("--help")
    assert done.code == 0
    assert "python -m lessons train 4 --help lists all options" in " ".join(done.out.split())
    done = train("4", "--training.max_step", "3")
    assert done.code == 2
    assert "python -m lessons train 4: error: " in done.err
    assert "training.max_steps" in done.err
    done = train("--data", "fables", "4")
    assert done.code == 2
    assert "the lesson numbers come before the options" in done.err
    assert "required: numbers" in train().err


def test_a_run_is_resumed(train: Callable[..., Outcome]) -> None:
    assert train("8", *SMALL).code == 0
    done = train("8", "--resume", "runs/fables", "--training.max_steps", "5")
    assert done.code == 0, done.err
    assert "at step 5 of 5" in done.out


def test_a_run_of_an_earlier_version_that_names_its_lessons_is_resumed(train: Callable[..., Outcome]) -> None:
    assert train("8", *SMALL).code == 0
    with Path("runs/fables/run.yaml").open("a", encoding="utf-8") as settings:
        settings.write("mine: '8'\n")
    done = train("8", "--resume", "runs/fables", "--training.max_steps", "5")
    assert done.code == 0, done.err
    assert "at step 5 of 5" in done.out
    assert "mine" not in Path("runs/fables/run.yaml").read_text(encoding="utf-8")


def test_ctrl_c_saves_and_says_how_to_continue(train: Callable[..., Outcome]) -> None:
    line = "    x_hat, rstd, weight, has_bias = saved\n"
    interrupt = "    CALLS.append(1)\n    if len(CALLS) == 40:\n        signal.raise_signal(signal.SIGINT)\n"
    text = answer(8).replace("import numpy as np\n", "import signal\n\nimport numpy as np\n\nCALLS = []\n")
    files.exercise_path(8).write_text(text.replace(line, interrupt + line), encoding="utf-8")
    done = train("8", *SMALL, "--training.max_steps", "1000", "--threads", "1")
    assert done.code == 130
    assert "Continue with: python -m lessons train 8 --resume runs/fables" in done.out


def test_an_exception_in_the_middle_of_training_shows_the_learners_line(
    train: Callable[..., Outcome],
) -> None:
    line = "    x_hat = centered * rstd\n"
    wrong = f"{line}    if x.dtype == 'float32':\n        x_hat.nope()\n"  # the comparison is in float64
    files.exercise_path(8).write_text(answer(8).replace(line, wrong), encoding="utf-8")
    done = train("8", *SMALL)
    assert done.code == 2
    assert "python -m lessons train 8: error: lessons/exercises/08_layernorm.py:" in done.err
    assert "x_hat.nope() AttributeError" in done.err
    assert "Traceback" not in done.err


def test_train_py_points_to_the_command_of_the_lessons(command: Callable[..., Outcome]) -> None:
    done = command("train.py", "--mine", "4,5,8")
    assert done.code == 2
    assert "python -m lessons train 4,5,8" in done.err
