"""train.py and sample.py as a user runs them."""

import ast
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import scratchgpt as sg
from scratchgpt.training.step import TrainingStep
from tests.support.project import ROOT, Outcome

Command = Callable[..., Outcome]

TEXT = "the quick brown fox jumps over the lazy dog. " * 40
SMALL = [
    *("--model.block_size=16", "--model.n_layer=1", "--model.n_head=2", "--model.n_embd=16"),
    *("--model.dropout=0.1", "--training.batch_size=4", "--training.max_steps=40"),
    *("--training.eval_interval=10", "--training.warmup_steps=5", "--training.learning_rate=0.01"),
    *("--generation.max_new_tokens=20", "--generation.prompt=the", "--generation.temperature=0.8"),
]


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def losses(run: str | Path) -> list[tuple[int, float]]:
    lines = Path(run, "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    both = [(record["step"], record.get("loss", record.get("val_loss"))) for record in records]
    return [(step, loss) for step, loss in both if loss is not None]  # the other records are samples


@pytest.mark.usefixtures("real_plots")
def test_a_run_writes_all_its_files(command: Command, text: str) -> None:
    done = command("train.py", "--data", text, "--out", "run", *SMALL)
    assert done.code == 0, done.err
    names = {path.name for path in Path("run").iterdir()}
    assert names == {
        "best.safetensors",
        "last.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "run.yaml",
        "metrics.jsonl",
        "loss.png",
        "report.html",
        "sample.txt",
    }
    height, width, _ = plt.imread("run/loss.png").shape
    assert width > height > 300
    assert Path("run/sample.txt").read_text(encoding="utf-8") in done.out
    assert "validation loss" in done.out
    curve = losses("run")
    assert [step for step, _ in curve].count(40) == 2  # the step and its evaluation
    assert curve[-1][1] < curve[0][1] - 0.5
    model = sg.load("run")
    assert model.model.config.n_embd == 16
    assert set(load_file("run/best.safetensors")) == {param.name for param in model.model.params}
    saved = yaml.safe_load(Path("run/run.yaml").read_text(encoding="utf-8"))
    assert saved["training"]["max_steps"] == 40
    assert saved["data"] == text


def test_the_same_seed_gives_the_same_run_bit_for_bit(command: Command, text: str) -> None:
    for out in ("a", "b"):
        assert command("train.py", "--data", text, "--out", out, *SMALL).code == 0
    assert command("train.py", "--data", text, "--out", "c", *SMALL, "--training.seed=2").code == 0
    assert losses("a") == losses("b")
    for name in ("best.safetensors", "last.safetensors", "sample.txt"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes(), name
    assert losses("a") != losses("c")


def test_a_resumed_run_is_the_uninterrupted_one(command: Command, text: str) -> None:
    flags = [
        *SMALL,
        "--training.min_learning_rate=0.01",
        "--training.warmup_steps=0",
    ]  # no schedule to redraw
    assert command("train.py", "--data", text, "--out", "whole", *flags).code == 0
    half = [*flags, "--training.max_steps=20"]
    assert command("train.py", "--data", text, "--out", "half", *half).code == 0
    done = command("train.py", "--resume", "half", "--training.max_steps=40")
    assert done.code == 0, done.err
    assert losses("half") == losses("whole")
    for name in ("best.safetensors", "last.safetensors"):
        assert Path("half", name).read_bytes() == Path("whole", name).read_bytes()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_resumed_run_equals_the_uninterrupted_one(
    command: Command, text: str, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    flags = ["--data", text, *SMALL, "--training.eval_interval=40"]
    assert command("train.py", *flags, "--out", "whole").code == 0

    take_step, n_calls = TrainingStep.__call__, itertools.count(1)

    def take_step_and_signal(self: TrainingStep, *args: Any) -> None:
        take_step(self, *args)
        if next(n_calls) == 7:
            signal.raise_signal(signum)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", take_step_and_signal)
        stopped = command("train.py", *flags, "--out", "stopped")
    assert (stopped.code, stopped.err) == (128 + signum, "")
    assert "saved at step 7. Continue with: python train.py --resume stopped" in stopped.out
    assert command("train.py", "--resume", "stopped").code == 0
    evaluation_at_the_signal = losses("stopped")[7]
    assert evaluation_at_the_signal[0] == 7
    assert [pair for pair in losses("stopped") if pair != evaluation_at_the_signal] == losses("whole")
    for name, tensor in load_file("whole/last.safetensors").items():
        np.testing.assert_array_equal(load_file("stopped/last.safetensors")[name], tensor, err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone on Windows")
def test_ctrl_c_stops_a_process_and_the_resumed_run_equals_the_uninterrupted_one(
    tmp_path: Path, text: str
) -> None:
    flags = [*SMALL, "--training.max_steps=1500", "--training.eval_interval=10000"]
    train = [sys.executable, str(ROOT / "train.py")]

    def start(*args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*train, *args], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    with start("--data", text, "--out", "whole", *flags) as whole:
        whole.communicate(timeout=60)
    assert whole.returncode == 0

    with start("--data", text, "--out", "stopped", *flags) as stopped:
        assert stopped.stdout is not None
        while "backend" not in stopped.stdout.readline():
            pass  # the loop starts after this line
        time.sleep(0.5)
        stopped.send_signal(signal.SIGINT)
        out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, err
    assert "Continue with: python train.py --resume stopped" in out
    assert "Traceback" not in err
    n_done = losses(tmp_path / "stopped")[-1][0]
    assert 1 <= n_done < 1500

    with start("--resume", "stopped") as resumed_process:
        resumed_process.communicate(timeout=60)
    assert resumed_process.returncode == 0
    full = [pair for pair in losses(tmp_path / "whole") if pair[0] != n_done]
    resumed = [pair for pair in losses(tmp_path / "stopped") if pair[0] != n_done]
    assert resumed == full
    weights = [load_file(tmp_path / out / "last.safetensors") for out in ("whole", "stopped")]
    for name, tensor in weights[0].items():
        np.testing.assert_array_equal(weights[1][name], tensor, err_msg=name)


def test_a_second_run_does_not_write_over_the_first(command: Command, text: str) -> None:
    first = command("train.py", "--data", text, "--out", "run", *SMALL)
    before = Path("run/best.safetensors").read_bytes()
    second = command("train.py", "--data", text, "--out", "run", *SMALL, "--training.seed=5")
    assert (first.code, second.code) == (0, 0)
    assert "run-2" in second.out
    assert Path("run/best.safetensors").read_bytes() == before
    assert Path("run-2/best.safetensors").read_bytes() != before


def test_a_run_is_named_after_its_data(command: Command, text: str) -> None:
    done = command("train.py", "--data", text, *SMALL, "--training.max_steps=2")
    assert done.code == 0, done.err
    assert Path("runs/text/last.safetensors").exists()


def test_a_resumed_run_keeps_its_new_settings_and_a_finished_run_cannot_be_resumed(
    command: Command, text: str
) -> None:
    assert command("train.py", "--data", text, "--out", "run", *SMALL).code == 0
    assert command("train.py", "--resume", "run", "--training.max_steps=50").code == 0
    assert losses("run")[-1][0] == 50
    again = command("train.py", "--resume", "run")
    assert again.code == 2
    assert "run is already at step 50 of 50; to continue, pass a larger --training.max_steps" in again.err


def test_flags_beat_the_file_wherever_they_stand(command: Command, text: str) -> None:
    Path("my.yaml").write_text("training: {max_steps: 9}\nmodel:\n", encoding="utf-8")
    flags = [*SMALL, "--training.max_steps=2"]
    done = command("train.py", *flags, "--config", "my.yaml", "--data", text, "--out", "run")
    assert done.code == 0, done.err
    assert losses("run")[-1][0] == 2


def test_a_prompt_is_taken_literally(command: Command) -> None:
    Path("notes.md").write_text("# null ~ &a\n" * 60, encoding="utf-8")
    flags = [flag for flag in SMALL if "prompt" not in flag]
    assert command("train.py", "--data", "notes.md", "--out", "run", *flags).code == 0
    for prompt in ("null", "~", "# null", "&a"):
        done = command("sample.py", "run", "--prompt", prompt, "--max-new-tokens", "3", "--seed", "1")
        assert done.code == 0, done.err
        assert done.out.startswith(prompt)


def test_the_shape_of_a_resumed_model_cannot_change(command: Command, text: str) -> None:
    assert command("train.py", "--data", text, "--out", "run", *SMALL).code == 0
    more = ["--resume", "run", "--training.max_steps=50"]
    for flag, words in (
        ("--model.n_head=4", "model.n_head is 4; expected 2, the value of run"),
        ("--model.activation=gelu_exact", "model.activation is 'gelu_exact'; expected 'gelu_tanh'"),
        ("--out=elsewhere", "--resume run continues that run in its folder; leave out --out"),
    ):
        done = command("train.py", *more, flag)
        assert done.code == 2
        assert words in done.err
    assert command("train.py", *more, "--model.dropout=0.2").code == 0
    assert sg.load("run").model.config.dropout == 0.2


def test_a_folder_with_other_files_is_left_alone(command: Command, text: str) -> None:
    Path("mine").mkdir()
    Path("mine/sample.txt").write_text("precious", encoding="utf-8")
    done = command("train.py", "--data", text, "--out", "mine", *SMALL)
    assert done.code == 2
    assert "mine holds files but no run; choose another --out" in done.err
    assert [path.name for path in Path("mine").iterdir()] == ["sample.txt"]


def test_sample_continues_from_the_newest_run(command: Command, text: str) -> None:
    for out in ("runs/old", "runs/new"):
        assert command("train.py", "--data", text, "--out", out, *SMALL).code == 0
    os.utime("runs/old/last.safetensors", (1, 1))
    flags = ("--seed", "3", "--max-new-tokens", "30")
    newest = command("sample.py", *flags)
    assert newest.code == 0, newest.err
    assert (
        newest.out
        == "the"
        + sg.load("runs/new").generate("the", max_new_tokens=30, temperature=0.8, top_k=None, seed=3)
        + "\n"
    )
    assert command("sample.py", "runs/new", *flags).out == newest.out


def test_sample_takes_every_option(command: Command, text: str) -> None:
    assert command("train.py", "--data", text, "--out", "run", *SMALL).code == 0
    options = ["--prompt", "fox", "--num-samples", "2", "--max-new-tokens", "12"]
    options += ["--temperature", "0.5", "--top-k", "3", "--seed", "7"]
    done = command("sample.py", "run", "--checkpoint", "last", *options)
    model = sg.load("run", checkpoint="last")
    expected = [
        "fox" + model.generate("fox", max_new_tokens=12, temperature=0.5, top_k=3, seed=seed)
        for seed in (7, 8)
    ]
    assert done.out.replace("-" * 72 + "\n", "") == "\n".join(expected) + "\n"


def test_a_run_without_held_out_text_learns_the_whole_text(command: Command) -> None:
    Path("short.txt").write_text("to be or not to be", encoding="utf-8")
    done = command("train.py", "--data", "short.txt", "--out", "run", *SMALL, "--training.val_fraction=0",
                   "--generation.prompt=to")  # fmt: skip
    assert done.code == 0, done.err
    assert "whole-text loss" in done.out and "validation" not in done.out
    evaluations = [loss for step, loss in losses("run") if step % 10 == 0][1::2]
    assert len(evaluations) == 4 and evaluations[-1] < evaluations[0] - 0.5


def test_settings_override_each_other_in_order(command: Command, text: str) -> None:
    Path("my.yaml").write_text(
        f"data: {text}\nout: from-yaml\nmodel: {{n_layer: 1, n_head: 1, n_embd: 8, block_size: 8}}\n"
        "training: {max_steps: 3, seed: 4, eval_interval: 3}\n",
        encoding="utf-8",
    )
    assert command("train.py", "--config", "my.yaml", "--training.seed=9").code == 0
    saved = yaml.safe_load(Path("from-yaml/run.yaml").read_text(encoding="utf-8"))
    assert saved["training"]["seed"] == 9  # the flag beats the file
    assert saved["training"]["max_steps"] == 3  # the file beats the default
    assert saved["training"]["beta1"] == 0.9  # AdamW's default, not a value of configs/default.yaml


@pytest.mark.parametrize(
    "name", sorted({path.name for path in (ROOT / "configs").glob("*.yaml")} - {"fine-tune.yaml"})
)
def test_every_shipped_configuration_is_valid(name: str) -> None:
    from scratchgpt.cli.options.train import parse_train_args

    settings = parse_train_args(["--config", str(ROOT / "configs" / name)])
    config = sg.GPTConfig.from_dict(settings.model | {"vocab_size": settings.model["vocab_size"] or 65})
    n_params = sum(param.size for param in sg.GPT(config).params)
    assert (
        n_params
        == {
            "default.yaml": 611_584,
            "gpt2-124m.yaml": 124_439_808,
            "grammar.yaml": 615_424,
            "nanogpt-cpu.yaml": 804_096,
            "memorise-780.yaml": 65 * 4 * 2 + 508,
            "pydoc.yaml": 615_424,
            "shakespeare-cpu.yaml": 804_096,
            "shakespeare-cpu-fast.yaml": 767_008,
            "shakespeare.yaml": 10_745_088,
            "smallest.yaml": 65 * 2 + 171,
            "talk.yaml": 617_472,
        }[name]
    )
    assert settings.training.hyperparameters == {
        "betas": (0.9, 0.95 if name == "gpt2-124m.yaml" else 0.99),
        "eps": 1e-8,
        "weight_decay": 0.0 if name in ("memorise-780.yaml", "smallest.yaml") else 0.1,
    }


def test_the_commands_at_the_top_of_train_py_work(command: Command) -> None:
    """Run every `python train.py ...` of its docstring, in order, on a tiny model for two steps."""
    Path("my.txt").write_text(TEXT, encoding="utf-8")
    Path("other.txt").write_text("a lazy fox jumps over a quick dog. " * 40, encoding="utf-8")
    docstring = ast.get_docstring(ast.parse((ROOT / "train.py").read_text(encoding="utf-8"))) or ""
    commands = re.findall(r"^python (train\.py.*?) *(?:#.*)?$", docstring, flags=re.MULTILINE)
    assert len(commands) == 5
    outputs = []
    for line in commands:
        script, *arguments = line.split()
        is_resumed = "--resume" in arguments
        tiny = ["--training.max_steps=4"] if is_resumed else [*SMALL, "--training.max_steps=2"]
        done = command(script, *arguments, *tiny, "--training.eval_tokens=64")
        assert done.code == 0, (line, done.err)
        outputs.append(done.out)
    assert [step for step, _ in losses("runs/mine")][-1] == 4
    assert "more text: python sample.py runs/fables" in outputs[0]
    assert "validation loss" in outputs[3]
    assert "--training.learning_rate" in outputs[4]


@pytest.mark.parametrize("eval_interval", [1, 1000])
def test_nothing_explodes_quietly(command: Command, text: str, eval_interval: int) -> None:
    """NaN in the loss: an error that says when, and the good checkpoint stays."""
    flags = [*SMALL, "--training.grad_clip=null", "--training.warmup_steps=0"]
    assert command("train.py", "--data", text, "--out", "run", *flags).code == 0
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    done = command(
        "train.py", "--resume", "run", "--training.max_steps=400", "--training.learning_rate=1e30",
        "--training.min_learning_rate=1e30", f"--training.eval_interval={eval_interval}",
    )  # fmt: skip
    assert done.code == 2
    assert "of step 4" in done.err
    assert "expected a finite number" in done.err
    assert "The files of step 40 in run are unchanged" in done.err
    assert "Traceback" not in done.err
    for name, content in before.items():
        assert Path("run", name).read_bytes() == content
