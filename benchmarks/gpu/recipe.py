"""nanoGPT's recipe for a GPU on Tiny Shakespeare, with train.py and with PyTorch."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scratchgpt as sg
from benchmarks.curve import EVALUATION_BATCH, Text
from benchmarks.gpu.job import Job, LeftOut, load_torch, torch_device
from benchmarks.results import ROOT
from benchmarks.shakespeare import PLACE, find_text
from scratchgpt.cli.options.train import parse_train_args
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.nn.bound_model import BoundModel

RECIPE = "configs/shakespeare.yaml"
EMULATED_FLAGS = (
    *("--model.n_layer=1", "--model.n_head=1", "--model.n_embd=16", "--model.block_size=16"),
    *("--training.max_steps=4", "--training.batch_size=2", "--training.eval_interval=2"),
    *("--training.eval_tokens=32", "--generation.max_new_tokens=4"),
)
EMULATED_TEXT = 2000  # characters
POLL_INTERVAL = 0.2  # seconds between two looks at the run's metrics


def ours(job: Job) -> None:
    """Run train.py with bf16 and a CUDA graph; save the figures after each evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        flags = [*_flags(job, folder), f"--out={run}", "--backend=cupy", "--precision=bf16", "--graph=true"]
        emulator = ["-m", "tests.gpu_emulation"] if job.emulated else []
        started = time.perf_counter()
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(
                [sys.executable, *emulator, "train.py", *flags], cwd=ROOT, stdout=output, stderr=output
            ) as training,
        ):
            n_evaluations = 0
            while (code := training.poll()) is None:
                time.sleep(POLL_INTERVAL)
                figures = _figures(run / "metrics.jsonl")
                if len(figures["val_losses"]) > n_evaluations:
                    n_evaluations = len(figures["val_losses"])
                    job.save({**figures, "wall_seconds": time.perf_counter() - started, "finished": False})
            wall_seconds = time.perf_counter() - started
            output.seek(0)
            lines = output.read().strip().split("\n")
        if code:
            raise RuntimeError(f"train.py ended with exit code {code}: {lines[-1]}")
        job.save({**_figures(run / "metrics.jsonl"), "wall_seconds": wall_seconds, "finished": True})


def _flags(job: Job, folder: str) -> list[str]:
    """Return train.py's flags for the recipe.

    Raises:
        LeftOut: there is no Tiny Shakespeare on this machine.
    """
    if job.emulated:
        fables = (ROOT / "data" / "fables.txt").read_text(encoding="utf-8")
        text = Path(folder, "text.txt")
        text.write_text(fables[:EMULATED_TEXT], encoding="utf-8")
        return [f"--config={RECIPE}", f"--data={text}", *EMULATED_FLAGS]
    path = find_text(None)
    if path is None:
        raise LeftOut(f"there is no {PLACE}")
    return [f"--config={RECIPE}", f"--data={path}"]


def _figures(metrics: Path) -> dict[str, Any]:
    """Return steps and validation losses so far, and the last speed."""
    text = metrics.read_text(encoding="utf-8") if metrics.exists() else ""
    lines = [json.loads(line) for line in text.split("\n")[:-1]]  # the last one may still be incomplete
    evaluated = [line for line in lines if "val_loss" in line]
    return _summary(
        [line["step"] for line in evaluated],
        [line["val_loss"] for line in evaluated],
        tokens_per_second=evaluated[-1].get("tokens_per_second") if evaluated else None,
    )


def _summary(steps: Sequence[int], losses: Sequence[float], **more: Any) -> dict[str, Any]:
    best = min(losses, default=None)
    return {"steps": list(steps), "val_losses": list(losses), "best_val_loss": best, **more}


def theirs(job: Job) -> None:
    """Train with PyTorch, eagerly, in bf16; evaluate with our bf16 passes, and save after each evaluation.

    Initial weights, batches and schedule are those of our run; the dropout masks are PyTorch's.
    """
    started = time.perf_counter()
    device = torch_device(job.emulated)
    load_torch().set_float32_matmul_precision("high")  # TF32
    with tempfile.TemporaryDirectory() as folder:
        settings = parse_train_args([*_flags(job, folder), "--out=unused"])
        text = Text.of(settings)
    training, model = settings.training, sg.GPT(text.config)
    torch_trainer = load_torch("benchmarks.torch_trainer")
    trainer = torch_trainer.TorchTrainer(training, text, device=device, bfloat16=True)
    backend = sg.get_backend("cupy", precision="bf16")
    steps: list[int] = []
    losses: list[float] = []
    for step in range(training.max_steps):
        trainer.step(step)
        done = step + 1
        if done % training.eval_interval and done < training.max_steps:
            continue
        bound = BoundModel(model, trainer.weights().map(backend.to_device), backend)
        loss = text_loss(
            bound, text.val_rows, batch_size=EVALUATION_BATCH, max_tokens=training.eval_tokens
        ).loss
        steps.append(done)
        losses.append(loss)
        job.save(
            {
                **_summary(steps, losses),
                "wall_seconds": time.perf_counter() - started,
                "finished": done == training.max_steps,
            }
        )


TASKS = {"scratchgpt": ours, "PyTorch": theirs}
