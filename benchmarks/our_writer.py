"""A text written with this engine."""

from collections.abc import Callable

import scratchgpt as sg
from benchmarks.models import Writing
from scratchgpt.generation import generate_tokens


def greedy(writing: Writing, threads: int) -> Callable[[], list[int]]:
    """Return a function that continues the prompt greedily and returns the new tokens."""
    model, backend = sg.GPT(writing.config), sg.get_backend("numpy", threads)
    bound = sg.BoundModel(model, model.init(), backend)
    return lambda: list(generate_tokens(bound, writing.prompt, max_new_tokens=writing.n_new, temperature=0.0))
