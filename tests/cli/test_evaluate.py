"""`scratchgpt evaluate`: the measures of a run on its text, and its replies."""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import scratchgpt as sg
from scratchgpt import __main__ as program
from scratchgpt import data
from scratchgpt.cli.commands import evaluate as evaluate_run
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.language_model.replies import bleu
from tests.support.project import Outcome
from tests.support.runs import copy_run, train_run

Command = Callable[..., Outcome]
SMALL = [
    "--model.n_layer=1", "--model.n_head=1", "--model.n_embd=8", "--model.block_size=32",
    "--training.max_steps=4", "--training.batch_size=2", "--training.eval_interval=2",
    "--training.sample_tokens=0",
]  # fmt: skip
TURNS = [["Where is it?", "In the hall."], ["And now?", "Gone.", "Why?", "Who knows."], ["Hm.", "So it is."]]


@pytest.fixture(scope="module")
def trained_on_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = "The crow sings, and the crow is heard. " * 30
    return train_run(tmp_path_factory.mktemp("text"), "text.txt", text, *SMALL)


@pytest.fixture
def text_run(trained_on_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of a run on a plain text, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return copy_run(trained_on_text, tmp_path).name


@pytest.fixture(scope="module")
def trained_on_dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = "".join(json.dumps({"dialog": turns}) + "\n" for turns in TURNS * 6)
    flags = ["--corpus.format=daily-dialog", "--corpus.bot_only=true", "--training.val_fraction=0.3"]
    folder = tmp_path_factory.mktemp("dialogues")
    return train_run(folder, "talk.jsonl", rows, *SMALL, "--model.block_size=99", *flags)


@pytest.fixture
def bot_run(trained_on_dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of a run on dialogues, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return copy_run(trained_on_dialogues, tmp_path).name


def measured(*arguments: str) -> dict[str, Any]:
    assert evaluate_run.main([*arguments, "--json", "found.json"]) == 0
    found: dict[str, Any] = json.loads(Path("found.json").read_text(encoding="utf-8"))
    return found


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        program.main(["evaluate", *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("scratchgpt evaluate: error: ") and error.count("\n") == 1
    return error


def test_the_measures_are_those_of_the_held_out_text(
    text_run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    found = measured(text_run)
    assert set(found) == {
        "run", "checkpoint", "text", "split", "tokens", "loss", "perplexity", "bits_per_byte", "accuracy",
    }  # fmt: skip
    assert (found["run"], found["checkpoint"], found["text"], found["split"]) == (
        "run",
        "best",
        "text",
        "held-out",
    )
    records = [
        json.loads(line) for line in Path("run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    best = min((record for record in records if "val_loss" in record), key=lambda record: record["val_loss"])
    assert found["loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["bits_per_byte"] == pytest.approx(found["loss"] / math.log(2))  # a character is a byte
    assert found["tokens"] == round(0.1 * 39 * 30) - 1  # nothing predicts the first
    shown = capsys.readouterr().out
    for word in (
        "run (best checkpoint) on text, validation part",
        f"{found['loss']:.4f} nats per token",
        f"{found['accuracy']:.2%}",
    ):
        assert word in shown
    assert "replies" not in shown


@pytest.mark.parametrize(("flags", "part"), [(["--split=training"], 0), (["--split=held-out"], 1)])
def test_every_part_and_checkpoint_can_be_chosen(text_run: str, flags: Sequence[str], part: int) -> None:
    found = measured(text_run, "--checkpoint=last", *flags)
    model = sg.load(text_run, checkpoint="last")
    tokens = model.tokenizer.encode(Path("text.txt").read_text(encoding="utf-8"))
    rows = data.rows_of(data.Part.of(data.split(tokens, 0.1, 32)[part]), 32)
    expected = text_loss(sg.BoundModel(model.model, model.params, model.backend), rows, batch_size=9)
    assert (found["loss"], found["accuracy"], found["tokens"]) == pytest.approx(tuple(expected), rel=1e-6)


def test_another_text_is_evaluated_as_a_whole(text_run: str) -> None:
    Path("other.txt").write_text("the crow and the crow and the crow is heard, is heard", encoding="utf-8")
    found = measured(text_run, "--data=other.txt", "--backend=reference")
    assert (found["text"], found["split"], found["tokens"]) == ("other", "whole", 52)
    some = measured(text_run, "--tokens=32")
    assert some["tokens"] <= 32 < measured(text_run)["tokens"]
    assert some["loss"] != measured(text_run)["loss"]


def test_a_model_that_is_not_a_run_is_measured_on_a_text(text_run: str) -> None:
    sg.load(text_run).save("model")
    Path("other.txt").write_text("the crow and the crow and the crow is heard, is heard", encoding="utf-8")
    found, theirs = (measured(name, "--data=other.txt") for name in (text_run, "model"))
    assert found["loss"] == theirs["loss"]


@pytest.mark.slow
def test_the_floor_of_a_grammar_is_shown(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        command("train.py", "--data", "grammar", "--out", "run", *SMALL, "--training.eval_tokens=64").code
        == 0
    )
    found = measured("run", "--tokens=640")
    assert 0 < found["entropy_of_the_source"] < found["loss"]


def test_replies_are_to_held_out_dialogues(bot_run: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    found = measured(bot_run)["replies"]
    assert found["number"] == (2 + 1) + (1 + 2 + 1)  # the last 5 of 18 dialogues are held out
    assert found["examples"][-1]["prompt"].startswith("<s> User: ")
    assert found["exact_match"] == sum(each["reference"] == each["said"] for each in found["examples"]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["number", "7"] in lines and ["exact", "match", "0.0%"] in lines
    assert ["user", "reference", "model"] in lines
    replies = [line[1:3] for line in lines if line[:1] == ["Why?"]]
    assert replies and all(reference == ["Who", "knows."] for reference in replies)
    assert measured(bot_run, "--replies=2")["replies"]["number"] == 2
    assert "replies" not in measured(bot_run, "--replies=0")
    whole = measured(bot_run, "--split=whole")["replies"]
    assert whole["number"] == 24


def test_bleu_or_how_to_install_it(
    bot_run: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(bot_run)["replies"]
    if bleu(["a"], ["a"]):
        assert 0 <= found["bleu"] <= 100
        assert found["bleu_signature"] in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    found = measured(bot_run)["replies"]
    assert set(found) == {"number", "exact_match", "examples"}
    assert "pip install 'scratchgpt[eval]'" in capsys.readouterr().out


def test_a_block_too_short_for_any_prompt_is_reported(
    bot_run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(bot_run, "config.json")
    Path("long.jsonl").write_text(json.dumps({"dialog": ["now" * 50, "Gone."]}) + "\n", encoding="utf-8")
    assert json.loads(config.read_text(encoding="utf-8"))["block_size"] == 99
    assert measured(bot_run, "--data=long.jsonl")["replies"] == {"number": 0}
    assert "no turn of the bot has a prompt that fits into the context window" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere is not a run: it does not exist"),
        (["run", "--checkpoint=first"], "--checkpoint is 'first'; expected best or last"),
        (["run", "--split=some"], "--split is 'some'; expected one of held-out, training, whole"),
        (["run", "--data=gone.txt"], "'gone.txt' does not exist"),
        (["run", "--data=fables", "--corpus.bot_only=true"], "bot_only is true, and fables has no bot"),
        (["run", "--replies=-1"], "--replies is -1; expected at least 0"),
        (["run", "--tokens=0"], "--tokens is 0; expected at least 1"),
        ([], "RUN is missing; expected the folder of a run"),
    ],
)
def test_bad_options(
    text_run: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    capsys.readouterr()
    assert words in error_of(capsys, *arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: Path("run/run.yaml").unlink(), "run has no run.yaml that names a text; pass --data"),
        (lambda: Path("run/run.yaml").write_text("data: [1]", encoding="utf-8"), "data is [1]; expected"),
        (
            lambda: Path("run/run.yaml").write_text("data: '-'", encoding="utf-8"),
            "run was trained on standard input, which is gone; pass --data",
        ),
        (
            lambda: Path("run/run.yaml").write_text("corpus: 3", encoding="utf-8"),
            "run.yaml: section corpus is 3; expected a mapping of options",
        ),
        (lambda: Path("run/best.safetensors").write_bytes(b"x"), "best.safetensors"),
        (lambda: Path("text.txt").unlink(), "text.txt' does not exist"),
        (lambda: Path("text.txt").write_text("Ü" * 999, encoding="utf-8"), "'Ü'"),
    ],
)
def test_what_is_wrong_with_a_run_is_named(
    text_run: str, capsys: pytest.CaptureFixture[str], change: Callable[[], object], words: str
) -> None:
    change()
    capsys.readouterr()
    assert words in error_of(capsys, "run")
