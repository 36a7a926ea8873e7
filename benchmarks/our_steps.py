"""A training step with scratchgpt."""

from collections.abc import Callable

import scratchgpt as sg
from benchmarks.models import Row, random_batch


def training_step(row: Row, threads: int, recompute: bool = False) -> Callable[[], float]:
    """Return a function that takes one step (forward, backward, clipping, AdamW) and returns the loss.

    `recompute` turns on activation checkpointing of every block.
    """
    backend = sg.get_backend("numpy", threads)
    model = sg.GPT(row.config, recompute=recompute)
    params = model.init()
    optimizer = sg.AdamW(params, backend=backend)
    x, y = random_batch(row)

    def step() -> float:
        loss, grads = sg.loss_and_grads(model, params, x, y, backend=backend)
        backend.clip(grads.flat, 1.0)
        optimizer.step(grads)
        return loss

    return step
