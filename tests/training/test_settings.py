"""Training settings: the optimizers' own defaults, values that replace them, and what a run records."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file

import scratchgpt as sg
from scratchgpt.optim import OPTIMIZERS, default_hyperparameters, make_optimizer
from scratchgpt.training.settings import TrainingSettings
from tests.support.project import Outcome

Command = Callable[..., Outcome]

DEFAULTS: dict[str, dict[str, Any]] = {
    "adamw": {"betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1},
    "lion": {"betas": (0.9, 0.99), "weight_decay": 0.3},
    "muon": {"betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1},
}
MODEL = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8))
SMALL = (
    "--model.block_size=16", "--model.n_layer=1", "--model.n_embd=16", "--model.n_head=2",
    "--training.max_steps=6", "--training.eval_interval=3", "--training.batch_size=4",
    "--training.eval_tokens=64", "--training.warmup_steps=0", "--training.sample_tokens=0",
    "--generation.max_new_tokens=3",
)  # fmt: skip


@pytest.fixture
def plain(command: Command) -> tuple[str, ...]:
    """Flags of a tiny run with a configuration that sets no hyperparameters."""
    Path("text.txt").write_text("the fox saw a crow and the crow saw a fox " * 40, encoding="utf-8")
    Path("plain.yaml").write_text("data: text.txt\n", encoding="utf-8")
    return ("--config", "plain.yaml", *SMALL)


def recorded(run: str) -> dict[str, Any]:
    """Return the training section of a run's run.yaml."""
    training: dict[str, Any] = yaml.safe_load(Path(run, "run.yaml").read_text(encoding="utf-8"))["training"]
    return training


def test_there_are_defaults_for_every_optimizer() -> None:
    assert {name: default_hyperparameters(name) for name in OPTIMIZERS} == DEFAULTS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_gets_its_own_defaults_if_nothing_is_set(name: Any) -> None:
    training = TrainingSettings(optimizer=name)
    optimizer: Any = make_optimizer(name, MODEL.init(), **training.hyperparameters)
    for hyperparameter, value in DEFAULTS[name].items():
        assert getattr(optimizer, hyperparameter) == value, hyperparameter


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_value_that_is_set_replaces_only_its_default(name: Any) -> None:
    beta1, beta2 = DEFAULTS[name]["betas"]
    for setting, value, expected in (
        ({"beta1": 0.8}, "betas", (0.8, beta2)),
        ({"beta2": 0.8}, "betas", (beta1, 0.8)),
        ({"weight_decay": 0.0}, "weight_decay", 0.0),
    ):
        training = TrainingSettings(optimizer=name, **setting)  # type: ignore[arg-type]
        assert training.hyperparameters == DEFAULTS[name] | {value: expected}


def test_lion_ignores_the_eps_that_older_runs_recorded_for_it() -> None:
    assert TrainingSettings(optimizer="lion", adam_eps=1e-8).hyperparameters == DEFAULTS["lion"]
    assert TrainingSettings(optimizer="muon", adam_eps=1e-6).hyperparameters["eps"] == 1e-6


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"beta1": 1.0}, "beta1 is 1.0; expected a number in [0, 1), or null"),
        ({"beta2": -0.1}, "beta2 is -0.1; expected a number in [0, 1), or null"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0; expected a number in [0, 1), or null"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; expected at least 0, or null"),
        ({"weight_decay": math.nan}, "weight_decay is nan; expected"),
        ({"adam_eps": 0.0}, "adam_eps is 0.0; expected a positive number, or null"),
        ({"grad_clip": 0.0}, "grad_clip is 0.0; expected a positive number, or null"),
        ({"patience": 0}, "patience is 0; expected at least 1, or null"),
        ({"eval_tokens": 0}, "eval_tokens is 0; expected at least 1, or null"),
        ({"val_fraction": 1.0}, "val_fraction is 1.0; expected a number in [0, 1)"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0; expected at least 0"),
        ({"batch_size": 0}, "batch_size is 0; expected at least 1, and less than 2**31"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(setting: dict[str, Any], expected: str) -> None:
    with pytest.raises(sg.InputError, match=re.escape(f"training.{expected}")):
        TrainingSettings(**setting)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_records_the_values_that_it_used(command: Command, plain: tuple[str, ...], name: str) -> None:
    done = command("train.py", *plain, "--out", "run", f"--training.optimizer={name}")
    assert done.code == 0, done.err
    names = ("beta1", "beta2", "adam_eps", "weight_decay")
    used = DEFAULTS[name]
    expected = [*used["betas"], used.get("eps"), used["weight_decay"]]
    assert [recorded("run")[name] for name in names] == expected


def test_a_run_with_the_earlier_defaults_for_lion_resumes_with_them(
    command: Command, plain: tuple[str, ...]
) -> None:
    """Earlier versions gave every optimizer AdamW's defaults, and recorded them in run.yaml."""
    flags = (*plain, "--training.optimizer=lion", "--training.schedule=constant")
    earlier = (
        "--training.beta1=0.9", "--training.beta2=0.95", "--training.weight_decay=0.1",
        "--training.adam_eps=1e-8",
    )  # fmt: skip
    assert command("train.py", *flags, *earlier, "--out", "whole").code == 0
    assert command("train.py", *flags, *earlier, "--out", "resumed", "--training.max_steps=3").code == 0
    assert command("train.py", "--resume", "resumed", "--training.max_steps=6").code == 0
    assert command("train.py", *flags, "--out", "new-defaults").code == 0
    assert recorded("resumed")["weight_decay"] == 0.1
    weights = {
        run: load_file(f"{run}/last.safetensors")["wte.weight"].tolist()
        for run in ("whole", "resumed", "new-defaults")
    }
    assert weights["resumed"] == weights["whole"]
    assert weights["new-defaults"] != weights["whole"]


def test_the_help_names_the_defaults_of_the_optimizers(command: Command) -> None:
    printed = " ".join(command("train.py", "--help").out.split())
    lion, others = DEFAULTS["lion"], DEFAULTS["adamw"]
    assert DEFAULTS["muon"] == others
    for option, description in (
        ("weight_decay", f"({others['weight_decay']}, Lion {lion['weight_decay']})"),
        ("beta1", f"({others['betas'][0]})"),
        ("beta2", f"({others['betas'][1]}, Lion {lion['betas'][1]})"),
        ("adam_eps", "(1e-8)"),
    ):
        text = printed.split(f" --training.{option} ")[-1].split(" --training.")[0]
        assert f"null: the optimizer's default {description}" in text
