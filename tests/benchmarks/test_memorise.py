"""The smallest GPTs memorize their text, character for character."""

from collections.abc import Callable

import pytest

import scratchgpt as sg
from tests.support.project import ROOT, Outcome

TEXT = (ROOT / "data" / "memorise.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2)]])
def test_780_parameters_recall_46_characters_from_18(command: Callable[..., Outcome], seed: int) -> None:
    config = str(ROOT / "configs" / "memorise-780.yaml")
    done = command("train.py", "--config", config, "--out", "run", f"--training.seed={seed}")
    assert done.code == 0, done.err
    lm = sg.load("run")
    assert lm.params.size == 780
    assert len(TEXT) == 64
    assert lm.generate(TEXT[:18], max_new_tokens=46, temperature=0.0) == TEXT[18:]


@pytest.mark.slow
def test_235_parameters_recall_it_too(command: Callable[..., Outcome]) -> None:
    config = str(ROOT / "configs" / "smallest.yaml")
    assert command("train.py", "--config", config, "--out", "run").code == 0
    lm = sg.load("run")
    assert lm.params.size == 235
    assert lm.generate(TEXT[:18], max_new_tokens=46, temperature=0.0) == TEXT[18:]
