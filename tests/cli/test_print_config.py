"""`--print-config`, and settings files that repeat a run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from tests.support.project import Outcome

Command = Callable[..., Outcome]
SMALL = (
    "--model.block_size=16", "--model.n_layer=1", "--model.n_embd=16", "--model.n_head=2",
    "--training.max_steps=6", "--training.eval_interval=6", "--training.batch_size=4",
    "--training.eval_tokens=64", "--generation.max_new_tokens=12", "--training.warmup_steps=0",
)  # fmt: skip
TEXT = "the fox saw a crow and the crow saw a fox but nobody saw the cheese "


def test_what_is_printed_is_what_a_run_would_be_given(command: Command) -> None:
    Path("text.txt").write_text(TEXT * 40, encoding="utf-8")
    flags = ("--data", "text.txt", *SMALL, "--generation.prompt", "the")
    printed = command("train.py", *flags, "--print-config")
    assert (printed.code, printed.err) == (0, "")
    assert not Path("runs").exists()
    Path("my.yaml").write_text(printed.out, encoding="utf-8")
    settings = yaml.safe_load(printed.out)
    assert settings["training"]["max_steps"] == 6  # typed
    assert settings["training"]["beta2"] == 0.99  # of configs/default.yaml
    assert settings["training"]["adam_eps"] is None  # the optimizer's own
    assert command("train.py", *flags, "--out", "a").code == 0
    assert command("train.py", "--config", "my.yaml", "--out", "b").code == 0
    assert command("train.py", "--config", "a/run.yaml", "--out", "c").code == 0
    first = Path("a/last.safetensors").read_bytes()
    assert Path("b/last.safetensors").read_bytes() == first
    assert Path("c/last.safetensors").read_bytes() == first


def test_a_run_started_from_its_own_settings_gets_a_folder_of_its_own(
    command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    Path("text.txt").write_text(TEXT * 40, encoding="utf-8")
    assert command("train.py", "--data", "text.txt", *SMALL, "--out", "runs/a").code == 0
    done = command("train.py", "--config", "runs/a/run.yaml")
    assert done.code == 0
    assert "already holds a run; writing to runs/a-2" in caplog.text
    assert set(load_file("runs/a/last.safetensors")) == set(load_file("runs/a-2/last.safetensors"))


def test_config_data_and_resume_work_together(command: Command) -> None:
    Path("text.txt").write_text(TEXT * 40, encoding="utf-8")
    Path("more.yaml").write_text("training:\n  max_steps: 9\n  eval_interval: 9\n", encoding="utf-8")
    assert command("train.py", "--data", "text.txt", *SMALL, "--out", "run").code == 0
    Path("moved.txt").write_text(TEXT * 40, encoding="utf-8")
    done = command("train.py", "--resume", "run", "--config", "more.yaml", "--data", "moved.txt")
    assert done.code == 0, done.err
    saved = yaml.safe_load(Path("run/run.yaml").read_text(encoding="utf-8"))
    assert saved["training"]["max_steps"] == 9
    assert saved["model"]["n_embd"] == 16
    assert saved["data"] == str(Path("moved.txt").absolute())


@pytest.mark.parametrize(
    ("budget", "steps"), [(("--training.max_epochs=2",), 77), (("--training.max_tokens=640",), 10)]
)
def test_a_run_ends_with_its_budget_and_continues_with_a_larger_one(
    command: Command, budget: tuple[str, ...], steps: int
) -> None:
    Path("text.txt").write_text(TEXT * 40, encoding="utf-8")  # 2720 characters: 153 rows of 16 to train on
    once = "--training.eval_interval=100"  # evaluate at the end only
    done = command("train.py", "--data", "text.txt", *SMALL, once, *budget, "--out", "run")
    assert done.code == 0, done.err
    assert f"at step {steps}" in done.out or f"of {steps}," in done.out
    saved = yaml.safe_load(Path("run/run.yaml").read_text(encoding="utf-8"))
    assert saved["training"]["max_steps"] == steps
    over = command("train.py", "--resume", "run")
    assert over.code == 2
    assert (
        f"run is already at step {steps} of {steps}; to continue, pass a larger --training.max_steps"
        in over.err
    )
    longer = command("train.py", "--resume", "run", f"--training.max_steps={steps + 2}")
    assert longer.code == 0, longer.err
    saved = yaml.safe_load(Path("run/run.yaml").read_text(encoding="utf-8"))
    assert saved["training"]["max_steps"] == steps + 2


def test_config_on_the_command_line_only(command: Command) -> None:
    Path("my.yaml").write_text("print_config: true\n", encoding="utf-8")
    done = command("train.py", "--config", "my.yaml")
    assert done.code == 2
    assert "my.yaml: print_config is True; pass it on the command line instead" in done.err


def test_an_error_in_a_file_names_the_file(command: Command) -> None:
    Path("my.yaml").write_text("training:\n  max_stepz: 3\n", encoding="utf-8")
    done = command("train.py", "--config", "my.yaml")
    assert done.code == 2
    expected = "unknown option 'training.max_stepz'; did you mean 'training.max_steps'?"
    assert done.err == f"train.py: error: my.yaml: {expected}\n"
