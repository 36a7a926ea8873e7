"""Is what the GPU computes correct? Tests, NVIDIA's sanitizer, repeated runs, and NumPy's losses."""

import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import scratchgpt as sg
from benchmarks.gpu.job import Job, LeftOut
from benchmarks.results import ROOT
from scratchgpt import data
from scratchgpt.ops.rng import step_rng
from scratchgpt.shapes import Array
from scratchgpt.training.step import TrainingStep
from scratchgpt.utils.files import read_text

# The tests of the backend, those marked as slow included; not those of the emulator, which is not in use.
TESTS = ("tests", "-k", "cupy and not fake_cupy", "-m", "not peers", "--maxfail=50")
EMULATED_TESTS = ("tests/gpu_emulation/test_fake_cupy.py", "-k", "graph")
SAVE_INTERVAL = 20  # passed tests between two savings of the figures
PRECISIONS = ("float32", "bf16")
OUTCOME = re.compile(r"^(?P<test>\S+::.*?) (?P<outcome>PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b")
SUMMARIES = {  # lines in which the tools of compute-sanitizer say how many errors they found
    "memcheck": re.compile(r"ERROR SUMMARY: (\d+) error"),
    "racecheck": re.compile(r"RACECHECK SUMMARY: (\d+) hazard"),
}
KEPT_LINES = 40  # of a tool's messages
REPEATED = sg.GPTConfig(65, 64, n_layer=2, n_head=2, n_embd=64, dropout=0.2)
EMULATED = sg.GPTConfig(11, 8, n_layer=1, n_head=2, n_embd=16, dropout=0.2)


def tests(job: Job) -> None:
    """Run the test suite's GPU tests and count the outcomes.

    Raises:
        LeftOut: pytest ran no test.
    """
    chosen = EMULATED_TESTS if job.emulated else TESTS
    command = [sys.executable, "-m", "pytest", "-v", "--tb=line", "-p", "no:cacheprovider", *chosen]
    counts: dict[str, int] = {}
    failures: list[str] = []
    last = ""
    for line in _lines(command):
        last = line or last
        found = OUTCOME.match(line)
        if not found:
            continue
        outcome = found["outcome"].lower()
        counts[outcome] = counts.get(outcome, 0) + 1
        if outcome in ("failed", "error"):
            failures.append(found["test"])
        if outcome != "passed" or counts[outcome] % SAVE_INTERVAL == 0:
            job.save({"counts": counts, "failures": failures, "finished": False})
    if not counts:
        raise LeftOut(f"pytest ran no test: {last}")
    job.save({"counts": counts, "failures": failures, "finished": True})


def sanitizer(job: Job) -> None:
    """Launch every kernel once, first plainly, then under the tools of compute-sanitizer.

    Raises:
        LeftOut: compute-sanitizer is not installed.
    """
    program = [sys.executable, "-m", "benchmarks.gpu.kernels_once"] + ["--emulated"] * job.emulated
    code, output = _run(program)
    figures: dict[str, Any] = {"plain": {"code": code, "end": output[-1:]}}
    job.save(figures)
    if shutil.which("compute-sanitizer") is None:
        raise LeftOut("compute-sanitizer is not on the PATH")
    for tool, precision in itertools.product(SUMMARIES, PRECISIONS):
        command = ["compute-sanitizer", "--tool", tool, "--target-processes", "all"]
        if tool == "memcheck":  # libraries probe the runtime with calls that fail; that is not our error
            command += ["--report-api-errors", "no"]
        code, output = _run([*command, *program, "--precision", precision])
        found = [int(match[1]) for line in output if (match := SUMMARIES[tool].search(line))]
        messages = [line for line in output if line.startswith("=========")]
        figures[f"{tool} {precision}"] = {
            "code": code,
            "errors": sum(found) if found else None,  # None: the tool did not finish
            "said": messages[:KEPT_LINES] if sum(found) or not found else [],
            "end": output[-3:],
        }
        job.save(figures)


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    """Return a command's exit code and the lines that it printed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout.rstrip().split("\n")


def _lines(command: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a command's output as it prints them."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield line.rstrip()


def repeatable(job: Job) -> None:
    """Train twice from the same seed, with and without a graph; all four runs must agree bit for bit."""
    n_steps = 3 if job.emulated else 20
    config, batch_size = (EMULATED, 2) if job.emulated else (REPEATED, 8)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, config.vocab_size, 50 * config.block_size)
    figures: dict[str, Any] = {"steps": n_steps, "dropout": config.dropout}
    for precision in PRECISIONS:
        runs = {
            graph: [
                _train(_backend(precision, graph), config, tokens, batch_size, n_steps, [1e-3] * n_steps)
                for _ in range(2)
            ]
            for graph in (False, True)
        }
        for graph, (first, second) in runs.items():
            name = f"{precision}, graph {'on' if graph else 'off'}"
            figures[f"twice: {name}"] = _compared(first, second)
        figures[f"graph against none: {precision}"] = _compared(runs[False][0], runs[True][0])
        job.save(figures)


Run = tuple[list[float], Array]  # the losses of a training run, and the final weights


def _compared(first: Run, second: Run) -> dict[str, Any]:
    """Return whether two runs agree bit for bit, and the largest differences."""
    (losses, weights), (other_losses, other_weights) = first, second
    return {
        "equal": losses == other_losses and weights.tobytes() == other_weights.tobytes(),
        "loss_difference": _largest(np.array(losses) - np.array(other_losses)),
        "weight_difference": _largest(weights - other_weights),
        "finite": bool(np.isfinite(weights).all()),
    }


def _largest(difference: Array) -> float:
    return float(np.abs(difference).max())


def _backend(precision: str, graph: bool) -> sg.Backend:
    return sg.get_backend("cupy", precision=precision, graph=graph)


def _train(
    backend: sg.Backend,
    config: sg.GPTConfig,
    tokens: Array,
    batch_size: int,
    n_steps: int,
    rates: Sequence[float],
) -> Run:
    """Train on windows of the tokens, drawn as train.py draws them."""
    model = sg.GPT(config)
    params = model.init(1).map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
    for step in range(n_steps):
        rng = step_rng(1, step)
        x, y = data.random_batch(tokens, batch_size, config.block_size, rng)
        take_step(x, y, rates[step], rng)
    losses = [taken.loss for taken in take_step.read()]
    return losses, backend.to_host(params.flat)


def curve(job: Job) -> None:
    """Compare the losses of 100 steps on the embedded fables, with dropout, with the numpy backend's."""
    n_steps = 3 if job.emulated else 100
    text = read_text(Path(ROOT, "data", "fables.txt"))
    tokenizer = sg.CharTokenizer.train(text)
    shape = EMULATED if job.emulated else sg.GPTConfig(65, 64, n_layer=4, n_head=4, n_embd=128, dropout=0.1)
    config = sg.GPTConfig.from_dict({**vars(shape), "vocab_size": tokenizer.vocab_size})
    tokens = tokenizer.encode(text)
    rates = [
        sg.cosine_with_warmup(step, peak=1e-3, floor=1e-4, warmup_steps=20, max_steps=n_steps)
        for step in range(n_steps)
    ]
    backends = {
        "numpy float32": sg.get_backend("numpy"),
        "cupy float32": _backend("float32", graph=True),
        "cupy tf32": _backend("tf32", graph=True),
        "cupy bf16": _backend("bf16", graph=True),
    }
    losses: dict[str, list[float]] = {}
    for name, backend in backends.items():
        losses[name], _ = _train(backend, config, tokens, 2 if job.emulated else 12, n_steps, rates)
        expected = np.array(losses["numpy float32"])
        largest = {each: _largest(np.array(values) - expected) for each, values in losses.items()}
        job.save({"steps": n_steps, "dropout": config.dropout, "losses": losses, "largest": largest})


TASKS = {"repeatable": repeatable, "curve": curve, "tests": tests, "sanitizer": sanitizer}
