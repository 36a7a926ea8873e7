"""docs/results.md: from a command to a row of the table."""

import json
import math
from pathlib import Path

import pytest

from benchmarks import quality
from benchmarks.machine import describe

TINY = (
    "--model.block_size=32", "--model.n_layer=1", "--model.n_head=1", "--model.n_embd=8",
    "--training.max_steps=4", "--training.eval_interval=2", "--training.eval_tokens=64",
    "--training.sample_tokens=0", "--generation.max_new_tokens=5",
)  # fmt: skip
RUN = {
    "loss": 2.0, "bits_per_byte": 1.0, "perplexity": 7.4, "accuracy": 0.5, "best_step": 1, "steps": 2,
    "seconds": 3.0, "machine": describe(),
}  # fmt: skip


def test_recipes_are_run_measured_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = {
        "fables": quality.Recipe([*TINY], "short"),
        "seeded": quality.Recipe([*TINY, "--training.seed=7"], "another seed"),
    }
    monkeypatch.setattr(quality, "RECIPES", recipes)
    figures, page = tmp_path / "quality.json", tmp_path / "results.md"
    earlier = {**RUN, "seed": 7, "command": "python train.py --training.seed=7"}
    figures.write_text(json.dumps({"runs": {"seeded": earlier}}), encoding="utf-8")
    program = ["quality", "--json", str(figures), "--page", str(page)]
    monkeypatch.setattr("sys.argv", [*program, "--recipes", "fables"])
    quality.main()
    runs = json.loads(figures.read_text(encoding="utf-8"))["runs"]
    assert runs["seeded"] == earlier  # kept
    assert runs["fables"]["steps"] == 4 and 1.0 < runs["fables"]["loss"] < 5.0
    text = page.read_text(encoding="utf-8")
    assert f"| fables: short | {runs['fables']['loss']:.4f} |" in text
    assert "python train.py --model.block_size=32" in text
    assert "seed 1337" in text and "seed 7" in text and runs["fables"]["machine"]["date"] in text
    assert "would take about" in text  # the row that has not been run
    assert f"**Held-out text** ({runs['fables']['machine']['processor']}, " in text

    monkeypatch.setattr("sys.argv", [*program, "--recipes", "fable"])
    with pytest.raises(SystemExit) as stop:
        quality.main()
    assert stop.value.code == 2
    assert "there is no recipe 'fable'; choose from fables, seeded" in capsys.readouterr().err


def test_train_py_accepts_the_arguments_of_every_recipe() -> None:
    from scratchgpt.cli.options.train import parse_train_args

    for recipe in quality.RECIPES.values():
        parse_train_args(recipe.arguments)


def test_the_distance_to_the_entropy_of_the_source_is_in_bits() -> None:
    run = {**RUN, "entropy_of_the_source": 2.0 - math.log(2)}
    (row,) = quality.table({"grammar": run}).rows
    assert row[1:] == ["2.0000", "1.000", "7.40", "50.0 %", "1.000", "1 of 2", "3"]


def test_replies_are_shown_with_their_questions() -> None:
    example = {"prompt": "<s> User: Where is Ben?<sep> Bot:", "reference": "At home.", "said": "Away."}
    said = {
        "number": 9,
        "exact_match": 0.5,
        "bleu": 61.25,
        "bleu_signature": "nrefs:1",
        "examples": [example],
    }
    text = quality.replies({"replies": said})
    assert text.startswith("BLEU **61.2** (nrefs:1) and **50.0 %** exact matches, over 9 replies")
    assert "| Where is Ben? | At home. | Away. |" in text
    del said["bleu"]
    assert quality.replies({"replies": said}).startswith("**50.0 %** exact matches")
