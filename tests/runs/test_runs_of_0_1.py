"""Runs that version 0.1.0 wrote before its modules moved still load and resume.

tests/support/runs_of_0_1 holds two runs on the fables, with dropout, of the backend `reference`: `before` has
20 steps of AdamW, `muon` has 10 steps of Muon and a running mean of the weights.
"""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import scratchgpt as sg
from tests.support.project import ROOT, Outcome

RUNS = ROOT / "tests" / "support" / "runs_of_0_1"
Command = Callable[..., Outcome]


def copied(name: str) -> Path:
    """Return a copy of a run in the current folder."""
    return shutil.copytree(RUNS / name, Path(name))


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_loads_and_predicts_as_before() -> None:
    model = sg.load(RUNS / "before", backend=sg.get_backend("reference"))
    assert model.perplexity("The fox said nothing.") == pytest.approx(42.35936082118149, rel=1e-5)


def test_a_run_generates_as_before() -> None:
    model = sg.load(RUNS / "before", checkpoint="last", backend=sg.get_backend("reference"))
    text = model.generate("The", max_new_tokens=30, temperature=1.0, seed=3)
    assert text == "'Foe,VY?m-RaVemwJhjJ\nyKLteYn k"


def test_a_run_resumes_as_before(command: Command) -> None:
    run = copied("before")
    before = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))
    assert before["mine"] is None  # this option no longer exists
    done = command(
        "train.py", "--resume", str(run), "--training.max_steps", "30", "--backend", "reference",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = records(run)
    assert [record["step"] for record in found if "loss" in record] == list(range(1, 31))
    assert found[: len(records(RUNS / "before"))] == records(RUNS / "before")
    losses = {record["step"]: record["loss"] for record in found if "loss" in record}
    assert losses[29] == pytest.approx(3.6878528594970703, rel=1e-4)
    assert losses[30] == pytest.approx(3.712146520614624, rel=1e-4)
    (val_loss,) = [record["val_loss"] for record in found if record["step"] == 30 and "val_loss" in record]
    assert val_loss == pytest.approx(3.699325382232666, rel=1e-5)
    settings = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))
    assert settings["training"]["max_steps"] == 30 and "mine" not in settings


def test_a_run_with_muon_and_a_mean_of_the_weights_resumes(command: Command) -> None:
    run = copied("muon")
    done = command("train.py", "--resume", str(run), "--training.max_steps", "14", "--backend", "reference")
    assert done.code == 0, done.err
    evaluations = [record for record in records(run) if "val_loss" in record]
    assert [record["step"] for record in evaluations] == [10, 14]
    assert evaluations[1]["val_loss"] < evaluations[0]["val_loss"] < math.log(63)


@pytest.mark.parametrize("value", ["4,5", "all"])
def test_a_run_with_exercises_says_how_to_train_them_now(command: Command, value: str) -> None:
    run = copied("before")
    settings = run / "run.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("mine: null", f"mine: {value}"), encoding="utf-8")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    done = command("train.py", "--resume", str(run), "--training.max_steps", "30")
    assert done.code == 2
    assert f"run.yaml: mine is '{value}', but this option no longer exists; " in done.err
    assert "run python -m lessons train 4,5,8" in done.err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
