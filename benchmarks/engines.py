"""The engines that are compared, and how a workload is handed to one in another process."""

import dataclasses
import importlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.models import Continuation, Row, Workload
from scratchgpt.config import GPTConfig

Make = Callable[[Workload, int], Callable[[], Any]]  # from workload and threads to the call that is timed


class Engine(NamedTuple):
    """A function `benchmarks.<module>.<function>(workload, threads, **options)`.

    It returns the call that is timed: one training step, which returns the loss, or one continuation of a
    prompt, which returns the new tokens.
    """

    module: str
    function: str
    options: dict[str, Any]


ENGINES: dict[type[Workload], dict[str, Engine]] = {
    Row: {
        "scratchgpt": Engine("our_steps", "training_step", {}),
        "scratchgpt, recomputed": Engine("our_steps", "training_step", {"recompute": True}),
        "PyTorch": Engine("torch_steps", "training_step", {}),
        "PyTorch compiled": Engine("torch_steps", "training_step", {"compiled": True}),
        "PyTorch bfloat16": Engine("torch_steps", "training_step", {"bfloat16": True}),
    },
    Continuation: {
        "scratchgpt": Engine("our_continuation", "greedy", {}),
        "transformers": Engine("hf_gpt2", "greedy", {}),
    },
}
_KINDS = {kind.__name__: kind for kind in ENGINES}


def load(kind: type[Workload], name: str) -> Make:
    """Import an engine's module and return its function; the libraries behind it are loaded after that."""
    engine = ENGINES[kind][name]
    function = getattr(importlib.import_module(f"benchmarks.{engine.module}"), engine.function)
    return lambda workload, threads: function(workload, threads, **engine.options)


def encode(workload: Workload) -> list[str]:
    """Return a workload as two command-line arguments: its class, and its fields as JSON."""
    fields = {**workload._asdict(), "config": dataclasses.asdict(workload.config)}
    return [type(workload).__name__, json.dumps(fields)]


def decode(kind: str, text: str) -> Workload:
    """Return the workload that `encode` has turned into arguments."""
    fields = json.loads(text)
    return _KINDS[kind](**{**fields, "config": GPTConfig.from_dict(fields["config"])})
