"""A text written with this engine."""

from collections.abc import Callable

import scratchgpt as sg
from benchmarks.models import Writing
from scratchgpt.generation import generate_tokens


def greedy(writing: Writing, threads: int) -> Callable[[], list[int]]:
    """Return a function that continues the prompt greedily and returns the new tokens."""
    model, backend = sg.GPT(writing.config), sg.get_backend("numpy", threads)
    params = model.init()
    return lambda: list(
        generate_tokens(model, params, writing.prompt, writing.n_new, backend=backend, temperature=0.0)
    )
