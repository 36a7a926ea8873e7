"""nanoGPT's recipe for a GPU on Tiny Shakespeare: our train.py, and the same with PyTorch."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scratchgpt as sg
from benchmarks.curve import EVALUATION_BATCH, Text, learning_rate
from benchmarks.gpu.job import Job, LeftOut, load_torch
from benchmarks.program import ROOT
from benchmarks.time_to_loss import find_text
from scratchgpt import data
from scratchgpt.cli.options.train import parse_train_args
from scratchgpt.config import GPTConfig
from scratchgpt.evaluation.text_loss import score
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.settings import RunSettings, TrainingSettings

RECIPE = "configs/shakespeare.yaml"
TINY = (
    *("--model.n_layer=1", "--model.n_head=1", "--model.n_embd=16", "--model.block_size=16"),
    *("--training.max_steps=4", "--training.batch_size=2", "--training.eval_interval=2"),
    *("--training.eval_tokens=32", "--generation.max_new_tokens=4"),
)
# What `python train.py` does, with the emulator in place of CuPy.
EMULATED_TRAIN = (
    "import runpy, sys; from tests.gpu_emulation import install; install.install(); "
    "sys.argv[0] = 'train.py'; runpy.run_path('train.py', run_name='__main__')"
)


def ours(job: Job) -> None:
    """Run train.py with bf16 and a graph; save after each evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        flags = [*_flags(job, folder), f"--out={run}", "--backend=cupy", "--precision=bf16", "--graph=true"]
        program = ["-c", EMULATED_TRAIN] if job.emulated else ["train.py"]
        started = time.perf_counter()
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(
                [sys.executable, *program, *flags], cwd=ROOT, stdout=said, stderr=said
            ) as training,
        ):
            n_evaluations = 0
            while (code := training.poll()) is None:
                time.sleep(0.2)
                figures = _figures(run / "metrics.jsonl")
                if len(figures["val_losses"]) > n_evaluations:
                    n_evaluations = len(figures["val_losses"])
                    job.save({**figures, "wall_seconds": time.perf_counter() - started, "finished": False})
            wall_seconds = time.perf_counter() - started
            said.seek(0)
            lines = said.read().strip().split("\n")
        if code:
            raise RuntimeError(f"train.py ended with code {code}: {lines[-1]}")
        job.save({**_figures(run / "metrics.jsonl"), "wall_seconds": wall_seconds, "finished": True})


def _flags(job: Job, folder: str) -> list[str]:
    """Return train.py's flags for the recipe.

    Raises:
        LeftOut: the text is not here.
    """
    if job.emulated:
        text = Path(folder, "text.txt")
        text.write_text((ROOT / "data" / "fables.txt").read_text(encoding="utf-8")[:2000], encoding="utf-8")
        return [f"--config={RECIPE}", f"--data={text}", *TINY]
    path = find_text(None)
    if path is None:
        raise LeftOut("there is no data/tinyshakespeare.txt in SCRATCHGPT_SHARED or ../shared")
    return [f"--config={RECIPE}", f"--data={path}"]


def _figures(metrics: Path) -> dict[str, Any]:
    """Return steps and validation losses so far, and the last speed."""
    text = metrics.read_text(encoding="utf-8") if metrics.exists() else ""
    lines = [json.loads(line) for line in text.split("\n")[:-1]]  # what comes after is not whole yet
    evaluated = [line for line in lines if "val_loss" in line]
    return _summary(
        [line["step"] for line in evaluated],
        [line["val_loss"] for line in evaluated],
        tokens_per_second=evaluated[-1].get("tokens_per_second") if evaluated else None,
    )


def _summary(steps: Sequence[int], losses: Sequence[float], **more: Any) -> dict[str, Any]:
    best = min(losses, default=None)
    return {"steps": list(steps), "val_losses": list(losses), "best_val_loss": best, **more}


class TorchRecipe:
    """The recipe with PyTorch, eagerly, in bf16: equal weights, batches and schedule, dropout of its own."""

    def __init__(self, training: TrainingSettings, text: Text, device: str) -> None:
        torch = self._torch = load_torch()
        if device == "cuda" and not torch.cuda.is_available():
            raise LeftOut(f"PyTorch {torch.__version__} finds no GPU")
        torch.set_float32_matmul_precision("high")
        torch.manual_seed(training.seed)
        self._training, self._text, self._device = training, text, device
        self._params = sg.GPT(text.config).init(training.seed)
        self._tensors = {
            name: tensor.detach().to(device).requires_grad_()
            for name, tensor in load_torch("benchmarks.torch_gpt").tensors_of(self._params).items()
        }
        self._optimizer = load_torch("benchmarks.torch_steps").adamw(
            self._tensors.values(),
            lr=training.learning_rate,
            **training.hyperparameters,
        )

    def step(self, step: int) -> None:
        """Draw a batch and take a step on it, without waiting for the device."""
        torch, training = self._torch, self._training
        rng = step_rng(training.seed, step)
        batch = data.random_batch(self._text.train, training.batch_size, self._text.config.block_size, rng)
        x, y = (torch.from_numpy(tokens).long().to(self._device, non_blocking=True) for tokens in batch)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device, dtype=torch.bfloat16):
            logits = _forward_with_dropout(self._text.config, self._tensors, x)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._tensors.values(), training.grad_clip or float("inf"))
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(training, step)
        self._optimizer.step()

    def weights(self) -> sg.ParamVector:
        """Return the weights as they are now, in a vector of ours; waits for the device."""
        for name, view in self._params.items():
            view[...] = self._tensors[name].detach().cpu().numpy()
        return self._params


def _forward_with_dropout(config: GPTConfig, p: dict[str, Any], tokens: Any) -> Any:
    """Return the logits, as `torch_gpt.forward` does, with dropout where our model has it."""
    F = load_torch("torch.nn.functional")
    (B, T), C, H = tokens.shape, config.n_embd, config.n_head

    def norm(x: Any, name: str) -> Any:
        weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
        return F.layer_norm(x, (C,), weight, bias, config.layer_norm_epsilon)

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, p[f"{name}.weight"].T, p.get(f"{name}.bias"))

    x = F.dropout(F.embedding(tokens, p["wte.weight"]) + p["wpe.weight"][:T], config.dropout)
    for i in range(config.n_layer):
        q, k, v = linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").split(C, dim=2)
        q, k, v = (part.view(B, T, H, C // H).transpose(1, 2) for part in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=config.dropout)
        y = linear(y.transpose(1, 2).reshape(B, T, C), f"h.{i}.attn.c_proj")
        x = x + F.dropout(y, config.dropout)
        h = linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        h = F.gelu(h, approximate="tanh" if config.activation == "gelu_tanh" else "none")
        x = x + F.dropout(linear(h, f"h.{i}.mlp.c_proj"), config.dropout)
    head = p["wte.weight"] if config.tie_weights else p["lm_head.weight"]
    return F.linear(norm(x, "ln_f"), head)


def theirs(job: Job) -> None:
    """Train with PyTorch, evaluate with our bf16 passes as our own run does, and save after each."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings([*_flags(job, folder), "--out=unused"])
        text = Text.of(settings)
    training, model = settings.training, sg.GPT(text.config)
    trainer = TorchRecipe(training, text, "cpu" if job.emulated else "cuda")
    backend = sg.get_backend("cupy", precision="bf16")
    steps: list[int] = []
    losses: list[float] = []
    for step in range(training.max_steps):
        trainer.step(step)
        done = step + 1
        if done % training.eval_interval and done < training.max_steps:
            continue
        bound = BoundModel(model, trainer.weights().map(backend.to_device), backend)
        loss = score(bound, text.val_rows, batch_size=EVALUATION_BATCH, max_tokens=training.eval_tokens).loss
        steps.append(done)
        losses.append(loss)
        job.save(
            {
                **_summary(steps, losses),
                "wall_seconds": time.perf_counter() - started,
                "finished": done == training.max_steps,
            }
        )


def read_settings(flags: Sequence[str]) -> RunSettings:
    """Return what train.py would make of these flags."""
    return parse_train_args(list(flags))


TASKS = {"scratchgpt": ours, "PyTorch": theirs}
