"""The GPU benchmark: its tasks run under emulation, the budget is kept, the page is written."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine_process import EngineFailed
from benchmarks.gpu import (
    __main__ as program,
)
from benchmarks.gpu import (
    checks,
    engines,
    generation,
    profile,
    recipe,
    report,
    runner,
    sections,
    speed,
    targets,
    tasks,
)
from benchmarks.gpu.job import ROWS, Job
from benchmarks.gpu.tasks import Task
from benchmarks.models import Row
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from tests.gpu_emulation import gplusplus
from tests.support.project import ROOT

MODULES = {
    "checks": checks,
    "speed": speed,
    "recipe": recipe,
    "profile": profile,
    "generation": generation,
}
needs_emulator = pytest.mark.skipif(gplusplus.missing() is not None, reason=str(gplusplus.missing()))


def emulated(folder: Path, only: str) -> dict[str, Any]:
    """Run tasks with the emulator; return what they found."""
    out = folder / "figures.json"
    flags = [f"--out={out}", f"--only={only}", "--budget=3600"]  # g++ may have to compile the kernels first
    command = [sys.executable, "-m", "benchmarks.gpu", "--emulated", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["emulated"] is True
    assert content["machine"]["gpu"] == "Emulated GPU"
    return dict(content["tasks"])


@needs_emulator
def test_the_program_runs_a_task(tmp_path: Path) -> None:
    found = emulated(tmp_path, "checks.repeatable")
    assert found["checks.repeatable"]["reason"] is None
    repeatable = found["checks.repeatable"]["figures"]
    compared = [each for each in repeatable.values() if isinstance(each, dict)]
    assert len(compared) == 6
    assert all(each["equal"] and each["finite"] for each in compared)


@needs_emulator
@pytest.mark.slow
def test_our_other_tasks_run(tmp_path: Path) -> None:
    names = ("checks.curve", "checks.tests", "checks.sanitizer", "profile.6x6x384", "recipe.scratchgpt")
    found = emulated(tmp_path, ",".join(names))
    figures = {name: task["figures"] for name, task in found.items()}

    largest = figures["checks.curve"]["largest"]
    assert largest["numpy float32"] == 0.0
    assert largest["cupy float32"] < 1e-5
    assert largest["cupy bf16"] < 1e-2

    assert figures["checks.tests"]["finished"]
    assert set(figures["checks.tests"]["counts"]) == {"passed"}
    plain = figures["checks.sanitizer"]["plain"]
    assert plain["code"] == 0
    assert "never launched: none" in plain["end"][0]

    profiled = figures["profile.6x6x384"]
    kernels = {kernel["name"] for kernel in profiled["kernels"]}
    assert {"adamw.cu: adamw", "product 32×32×96"} <= kernels
    assert sum(kernel["milliseconds"] for kernel in profiled["kernels"]) <= profiled["milliseconds"]

    trained = figures["recipe.scratchgpt"]
    assert trained["finished"]
    assert trained["steps"] == [2, 4]
    assert trained["best_val_loss"] == min(trained["val_losses"])


@needs_emulator
@pytest.mark.slow
@pytest.mark.peers
def test_tasks_with_peers_run(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'")
    found = emulated(tmp_path, "speed.780.bf16,recipe.PyTorch,generation.6x6x384")
    assert [task["reason"] for task in found.values()] == [None] * 3
    steps = found["speed.780.bf16"]["figures"]
    assert {"scratchgpt bf16", "scratchgpt bf16, no graph", "PyTorch bf16"} == set(steps["seconds"])
    assert steps["loss"]["scratchgpt bf16"] == pytest.approx(steps["loss"]["PyTorch bf16"], rel=1e-2)
    assert steps["loss"]["scratchgpt bf16"] == steps["loss"]["scratchgpt bf16, no graph"]
    assert found["recipe.PyTorch"]["figures"]["finished"]
    texts = found["generation.6x6x384"]["figures"]["seconds"]
    assert {"scratchgpt bf16, 1", "scratchgpt float32, 16"} <= set(texts)


def command_of(code: str) -> runner.Command:
    """Return a command for tasks that are small programs; each may write to the file `result`."""
    head = (
        "import json, pathlib, subprocess, sys, time; name, result = sys.argv[1], pathlib.Path(sys.argv[2])\n"
    )
    return lambda task, result, seconds: [sys.executable, "-c", head + code, task.name, str(result)]


def run(some: list[Task], budget: float, code: str) -> dict[str, Any]:
    """Return what the tasks found."""
    found: dict[str, Any] = {}
    runner.run_tasks(some, budget, command_of(code), found.__setitem__)
    return found


def test_a_task_that_fails_or_hangs_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MIN_SECONDS", 0.1)
    code = """
result.write_text(json.dumps({"name": name}))
if name == "fails": raise ValueError("there is a reason")
if name == "hangs": subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])
"""
    started = time.monotonic()
    found = run([Task("fails", 1), Task("hangs", 1), Task("works", 2)], 8.0, code)
    assert time.monotonic() - started < 20
    assert found["fails"]["reason"] == "ValueError: there is a reason"
    assert "its share of the time" in found["hangs"]["reason"]
    assert found["works"]["reason"] is None
    assert [each["figures"] for each in found.values()] == [{"name": name} for name in found]


def test_unused_time_goes_to_the_next_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MIN_SECONDS", 0.0)
    given: list[float] = []

    def command(task: Task, result: Path, seconds: float) -> list[str]:
        given.append(seconds)
        return [sys.executable, "-c", ""]

    runner.run_tasks([Task("a", 1), Task("b", 3)], 100.0, command, lambda name, found: None)
    assert given[0] == pytest.approx(25.0, abs=1.0)
    assert 90.0 < given[1] < 100.0


def test_a_task_without_time_is_not_started() -> None:
    found = run([Task("a", 1), Task("b", 1)], 6.0, "raise SystemExit(3)")
    assert found["a"]["reason"].startswith("no time left: 3.0 s")
    assert found["b"]["figures"] is None


def test_every_task_has_a_function() -> None:
    functions = {f"{part}.{name}" for part, module in MODULES.items() for name in module.TASKS}
    assert functions == {task.name for task in tasks.TASKS}
    assert tasks.function_of("checks.curve") is checks.curve
    assert set(engines.OURS) | set(engines.TORCH) == {
        name for group in engines.GROUPS.values() for name in group
    }


def test_parts_and_tasks_are_chosen_by_name() -> None:
    assert tasks.chosen(None) == tasks.TASKS
    assert [task.name for task in tasks.chosen("profile,checks.curve")] == [
        "checks.curve",
        "profile.124M",
        "profile.6x6x384",
    ]
    with pytest.raises(
        InputError, match="--only: there is no part or task 'chocks'; choose from checks, speed"
    ):
        tasks.chosen("checks,chocks")


@pytest.mark.parametrize("flags", [[], ["--out", str(program.RESULTS / "emulated.json")]])
def test_figures_of_the_emulator_are_kept_apart(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        program.main(["--emulated", *flags])
    assert stop.value.code == 2
    assert "--emulated" in capsys.readouterr().err


def test_without_a_gpu_one_line_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> dict[str, Any]:
        raise InputError("backend 'cupy' is not available: there is no GPU")

    monkeypatch.setattr(program, "gpu", none)
    with pytest.raises(SystemExit) as stop:
        program.main([])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert (
        printed.err == "python -m benchmarks.gpu: error: backend 'cupy' is not available: there is no GPU\n"
    )
    assert printed.out == ""


def test_figures_of_other_tasks_are_kept_on_the_same_machine(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    machine = {"gpu": "a", "date": "yesterday"}
    assert program.earlier(path, machine) == {}
    content = {"machine": machine, "emulated": False, "tasks": {"checks.curve": {}}}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert program.earlier(path, {"gpu": "a", "date": "today"}) == {"checks.curve": {}}
    assert program.earlier(path, {"gpu": "b", "date": "today"}) == {}


def test_a_batch_that_does_not_fit_is_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, int]] = []

    class Process:
        """An engine with room for a batch of 8."""

        def __init__(self, engine: str, row: Row, emulated: bool) -> None:
            self.engine, self.batch_size = engine, row.batch_size
            tried.append((engine, row.batch_size))

        def wait(self, seconds: float) -> float:
            if self.batch_size > 8 and self.engine.startswith("PyTorch"):
                raise EngineFailed("out of memory", out_of_memory=True)
            if self.engine.startswith("torch.compile"):
                raise EngineFailed("no compiler")
            return 0.5

        def turn(self, steps: int, seconds: float) -> dict[str, Any]:
            return {"seconds": 0.1, "loss": 1.0, "peak": {}}

        def close(self, at_once: bool = False) -> None:
            pass

    monkeypatch.setattr(speed, "EngineProcess", Process)
    monkeypatch.setattr(speed, "PAUSE", 0.0)
    job = Job(tmp_path / "result.json", 60.0, emulated=False)
    speed.measure(job, "124M", "bf16")
    figures = json.loads(job.path.read_text(encoding="utf-8"))
    assert figures["batch_size"] == 8
    assert {size for _, size in tried} == {32, 16, 8}
    assert figures["left_out"] == {"torch.compile bf16": "no compiler"}
    assert figures["steps"]["PyTorch bf16"] == speed.MIN_TURN_STEPS
    assert len(figures["seconds"]["scratchgpt bf16"]) == speed.TURNS


def test_arithmetic_of_a_token_counted_by_hand() -> None:
    # 6 operations for each of 34·4·2 embedding and head, 4·12 + 4·4 + 4·16·2 matrices, 12 + 4 + 16 + 4 biases
    # and 3 norms of 8 parameters; scores and values: 2 products, 3 passes, 2 operations, 64 keys, 4 channels.
    sizes = speed.Sizes.of(Row(GPTConfig(34, 64, 1, 1, 4, tie_weights=False), 1))
    parameters = 34 * 4 * 2 + 4 * 12 + 4 * 4 + 4 * 16 * 2 + 12 + 4 + 16 + 4 + 3 * 8
    assert sizes.flops_per_token() == 6 * parameters + 2 * 3 * 2 * 64 * 4


def test_peaks_are_those_of_cards_in_the_table() -> None:
    assert sections.peak_flops("NVIDIA H200", "bf16") == 989e12
    assert sections.peak_flops("NVIDIA A100-SXM4-80GB", "tf32") == 156e12
    assert sections.peak_flops("NVIDIA H100 PCIe", "bf16") is None
    assert sections.peak_flops("NVIDIA H200", "float32") is None
    assert sections.peak_flops("Some other card", "bf16") is None


def test_the_page_without_results_makes_no_claims(tmp_path: Path) -> None:
    report.write_page(tmp_path, tmp_path / "gpu.md")
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "No figures have been measured on a GPU yet" in text
    assert "python -m benchmarks.gpu\n" in text
    assert "|" not in text
    made_up = {**content(), "emulated": True}
    assert report.page_text(made_up, None) == text
    assert "## What each kernel needs" in report.page_text(None, "| kernel |")


def test_the_page_with_results(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_text(json.dumps(content()), encoding="utf-8")
    (tmp_path / "gpu-kernels.md").write_text("| kernel | registers |", encoding="utf-8")
    report.write_page(tmp_path, tmp_path / "gpu.md")
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "NVIDIA H200 (140 GiB)" in text
    assert text.count("** (NVIDIA H200)\n") == 6  # every table names the card
    assert "| 6x6x384, bf16: step time of PyTorch bf16 / ours | 1.5 or more | 2.00 | yes |" in text
    assert "| 6x6x384, bf16: step time of torch.compile bf16 / ours | 1.0 or more | 0.50 | **no** |" in text
    assert "| 124M, bf16: step time of PyTorch bf16 / ours | 1.0 or more | – | not known |" in text
    assert "| recipe, best validation loss | 1.4697 or less | 1.4600 | yes |" in text
    assert "| memcheck" not in text
    assert "| compute-sanitizer memcheck bf16 | 3 errors |" in text
    assert "| 20 steps, twice: bf16, graph on | **differ**: losses by 0.5, weights by 0.25 |" in text
    assert (
        "| 6x6x384, 64 × 256 | scratchgpt bf16 | 10.000<br>10.000–10.000 | 1,638,400 | 10.0% | 2.00 |" in text
    )
    assert "| 124M | scratchgpt bf16 | 16 | 2,048 |" in text
    assert "| adamw.cu: adamw | 1 | 3.000 | 75.0% |" in text
    assert "- `recipe.PyTorch`: no time left" in text
    assert "- `speed.6x6x384.bf16`, PyTorch tf32: no memory" in text
    assert text.endswith("| kernel | registers |\n")


def content() -> dict[str, Any]:
    """Return made-up figures."""

    def done(figures: Any, reason: str | None = None) -> dict[str, Any]:
        command = "python -m benchmarks.gpu"
        found = {"date": "2026-01-01", "seconds": 1.0, "command": command}
        return {**found, "reason": reason, "figures": figures}

    same = {"equal": True, "loss_difference": 0.0, "weight_difference": 0.0, "finite": True}
    speed = {
        "batch_size": 64,
        "block_size": 256,
        "tokens": 64 * 256,
        "flops_per_token": 989e12 * 0.1 / 1_638_400,
        "seconds": {"scratchgpt bf16": [0.01] * 3, "PyTorch bf16": [0.02], "torch.compile bf16": [0.005]},
        "peak": {"scratchgpt bf16": {"pools": 2**31}},
        "left_out": {"PyTorch tf32": "no memory"},
    }
    versions = {"python": "3", "numpy": "2", "cupy": "14", "torch": None, "transformers": "5"}
    machine = {"gpu": "NVIDIA H200", "gpu_memory": 140 << 30, "cores": 16, "processor": "a processor"}
    cuda = {"cuda_runtime": 12090, "cuda_driver": 13000}
    recipe = {"steps": [250], "val_losses": [1.46], "best_val_loss": 1.46, "wall_seconds": 40.0}
    return {
        "machine": {**machine, **versions, **cuda},
        "emulated": False,
        "tasks": {
            "checks.tests": done({"counts": {"passed": 3}, "failures": [], "finished": True}),
            "checks.sanitizer": done({"plain": {"end": ["45"]}, "memcheck bf16": {"errors": 3}}),
            "checks.repeatable": done(
                {
                    "steps": 20,
                    "dropout": 0.2,
                    "twice: float32, graph on": same,
                    "twice: bf16, graph on": {
                        **same,
                        "equal": False,
                        "loss_difference": 0.5,
                        "weight_difference": 0.25,
                    },
                }
            ),
            "checks.curve": done({"steps": 100, "largest": {"numpy float32": 0.0, "cupy bf16": 0.01}}),
            "speed.6x6x384.bf16": done(speed),
            "recipe.scratchgpt": done({**recipe, "finished": True}),
            "recipe.PyTorch": done(None, "no time left"),
            "generation.124M": done({"new_tokens": 256, "seconds": {"scratchgpt bf16, 16": [2.0]}}),
            "profile.124M": done(
                {
                    "batch_size": 32,
                    "steps": 5,
                    "milliseconds": 4.0,
                    "kernels": [{"name": "adamw.cu: adamw", "count": 1.0, "milliseconds": 3.0}],
                }
            ),
        },
    }


def test_targets_are_set_for_models_and_engines_that_are_measured() -> None:
    assert ROWS == ("780", "6x6x384", "124M")
    for model, group, theirs, _ in targets.SPEED:
        assert model in ROWS
        assert {theirs, targets.OURS[group]} <= set(engines.GROUPS[group])
