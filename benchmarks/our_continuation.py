"""Greedy generation with scratchgpt."""

from collections.abc import Callable

import scratchgpt as sg
from benchmarks.models import Continuation
from scratchgpt.generation import generate_tokens


def greedy(workload: Continuation, threads: int) -> Callable[[], list[int]]:
    """Return a function that continues the prompt greedily with the KV cache and returns the new tokens."""
    model, backend = sg.GPT(workload.config), sg.get_backend("numpy", threads)
    bound = sg.BoundModel(model, model.init(), backend)
    return lambda: list(
        generate_tokens(bound, workload.prompt, max_new_tokens=workload.n_new, temperature=0.0)
    )
