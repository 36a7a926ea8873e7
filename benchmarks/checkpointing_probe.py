"""One measurement of memory with or without recomputed blocks, in a process of its own.

python -m benchmarks.checkpointing_probe ROW RECOMPUTE THREADS STEPS

RECOMPUTE is 0 or 1. Prints as JSON the peak of the resident set in bytes after the imports, and after some
training steps.
"""

import json
import sys
from collections.abc import Callable

import scratchgpt as sg
from benchmarks.memory_probe import peak_bytes
from benchmarks.models import ROWS, Row, random_batch

MODELS = {
    "12x6x384": Row(sg.GPTConfig(65, 256, 12, 6, 384), 4),
    "12x12x768": ROWS["12x12x768"],
}


def training_step(row: Row, threads: int, recompute: bool) -> Callable[[], float]:
    """Return a function that takes one step (forward, backward, clipping, AdamW) and returns the loss."""
    backend = sg.get_backend("numpy", threads)
    model = sg.GPT(row.config, recompute=recompute)
    params = model.init()
    optimizer = sg.AdamW(params, backend=backend)
    x, y = random_batch(row)

    def step() -> float:
        loss, grads = sg.loss_and_grads(model, params, x, y, backend=backend)
        sg.clip_grad_norm(grads, 1.0)
        optimizer.step(grads)
        return loss

    return step


def main() -> None:
    """Look, take the steps, look again."""
    row, recompute, threads, steps = sys.argv[1:]
    imported = peak_bytes()
    step = training_step(MODELS[row], int(threads), bool(int(recompute)))
    for _ in range(int(steps)):
        step()
    print(json.dumps({"imported": imported, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
