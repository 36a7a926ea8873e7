"""How long is a training step: ours beside PyTorch's, the two interleaved in one run, on the same threads.

    python -m benchmarks.train_step                    every row
    python -m benchmarks.train_step --rows 780 4x4x128 --json step.json

A step is forward, backward, clipping and AdamW in float32. PyTorch runs eagerly, with
scaled_dot_product_attention and fused AdamW; without it our figures stand alone. The floor is the
time of the step's matrix products at the rate that NumPy's BLAS reaches on this machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import scratchgpt as sg
from benchmarks.machine import describe
from scratchgpt.backends.base import blas_threads
from scratchgpt.parallel import Workers, usable_cores

try:
    import torch

    from benchmarks import torch_gpt
except ImportError:
    torch = None  # type: ignore[assignment]


class Row(NamedTuple):
    """A model, a batch, and how many turns each engine has."""

    config: sg.GPTConfig
    batch_size: int
    turns: int


ROWS = {
    "780": Row(sg.GPTConfig(34, 64, 1, 1, 4, tie_weights=False), 1, 80),
    "4x4x128": Row(sg.GPTConfig(65, 64, 4, 4, 128), 12, 12),
    "6x6x384": Row(sg.GPTConfig(65, 256, 6, 6, 384), 16, 2),
    "12x12x768": Row(sg.GPTConfig(50257, 256, 12, 12, 768), 4, 2),
}
STEPS = (
    5  # timed in a turn, after one that is not: PyTorch's threads spin on for a while when its turn is over
)


def our_step(row: Row, tokens: np.ndarray[Any, Any], threads: int) -> Callable[[], None]:
    """Return a function that takes one training step with this engine."""
    backend = sg.get_backend("numpy", threads)
    model = sg.GPT(row.config)
    params = model.init()
    optimizer = sg.AdamW(params, backend=backend)

    def step() -> None:
        _, grads = sg.loss_and_grads(model, params, tokens[:, :-1], tokens[:, 1:], backend=backend)
        sg.clip_grad_norm(grads, 1.0)
        optimizer.step(grads)

    return step


def torch_step(row: Row, tokens: np.ndarray[Any, Any], threads: int) -> Callable[[], None]:
    """Return a function that takes the same training step with PyTorch."""
    torch.set_num_threads(threads)
    weights = torch_gpt.tensors_of(sg.GPT(row.config).init())
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-3, fused=True)
    x, y = torch.tensor(tokens[:, :-1]), torch.tensor(tokens[:, 1:])

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch_gpt.loss(row.config, weights, x, y).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimizer.step()

    return step


def matmul_flops(row: Row) -> float:
    """Return the floating-point operations of a step's matrix products, causal attention counted as half.

    Every weight of a matrix meets every token three times (forward, dx, dW) with 2 operations; the head
    counts as a matrix, the embeddings do not.
    """
    c = row.config
    n_tokens = row.batch_size * c.block_size
    matrices = c.n_layer * (4 * c.n_embd**2 + 2 * c.n_embd * c.mlp_width) + c.vocab_size * c.n_embd
    attention = c.n_layer * c.block_size * c.n_embd  # scores and values: 2 products of T/2 keys on average
    return 6.0 * n_tokens * (matrices + attention)


def matmul_rate(threads: int) -> float:
    """Return the rate of NumPy's sgemm with one product per thread, in operations per second; best of 5."""
    rng = np.random.default_rng(0)
    n, repeats = 1024, 10
    pairs = [rng.standard_normal((2, n, n), dtype=np.float32) for _ in range(threads)]
    workers = Workers(threads)

    def products(pair: np.ndarray[Any, Any]) -> None:
        for _ in range(repeats):
            pair[0] @ pair[1]

    best = float("inf")
    with blas_threads(1):
        for _ in range(5):
            started = time.perf_counter()
            workers.map(products, pairs)
            best = min(best, time.perf_counter() - started)
    return 2.0 * n**3 * repeats * threads / best


def measure(row: Row, threads: int) -> dict[str, list[float]]:
    """Return the seconds of each timed step, by engine; the engines take turns."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, row.config.vocab_size, (row.batch_size, row.config.block_size + 1))
    steps = {"scratchgpt": our_step(row, tokens, threads)}
    if torch is not None:
        steps["PyTorch"] = torch_step(row, tokens, threads)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(row.turns):
        for name, step in steps.items():
            step()
            for _ in range(STEPS):
                started = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Measure the rows, print a table, and write the figures as JSON if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_step", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="which models")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="default: all cores")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    console = Console()
    if torch is None:
        console.print("PyTorch is not installed and left out: pip install -e '.[peers]'")
    rate = matmul_rate(options.threads)
    console.print(f"sgemm: {rate / 1e9:.0f} GFLOP/s on {options.threads} threads", highlight=False)
    table = Table(
        title="Milliseconds per training step: median, and lowest - highest below",
        caption="ratio: PyTorch's median by ours; share: of the sgemm rate that our step reaches",
    )
    for column in ("model", "B, T", "scratchgpt", "PyTorch", "ratio", "floor", "share"):
        table.add_column(column, justify="left" if column == "model" else "right")
    figures = {}
    for name in options.rows:
        row = ROWS[name]
        seconds = measure(row, options.threads)
        medians = {engine: float(np.median(times)) for engine, times in seconds.items()}
        floor = matmul_flops(row) / rate
        ratio = medians["PyTorch"] / medians["scratchgpt"] if "PyTorch" in medians else None
        figures[name] = {"seconds": seconds, "median": medians, "floor": floor, "ratio": ratio}
        shown = {
            engine: f"{medians[engine] * 1e3:.2f}\n{min(times) * 1e3:.2f} - {max(times) * 1e3:.2f}"
            for engine, times in seconds.items()
        }
        table.add_row(
            name,
            f"{row.batch_size}, {row.config.block_size}",
            shown["scratchgpt"],
            shown.get("PyTorch", "-"),
            "-" if ratio is None else f"{ratio:.2f}",
            f"{floor * 1e3:.2f}",
            f"{floor / medians['scratchgpt']:.0%}",
        )
    console.print(table)
    if options.json:
        content = {"machine": describe(), "threads": options.threads, "sgemm": rate, "rows": figures}
        options.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
