"""Loggers: send a run's metrics to TensorBoard or Weights & Biases, in addition to metrics.jsonl.

`--logger tensorboard`, `--logger wandb`, or `--logger tensorboard,wandb`. Each needs its library, which an
extra of this package installs.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scratchgpt.errors import InputError
from scratchgpt.training.loggers.base import Logger
from scratchgpt.utils.validation import nearest

__all__ = ["Logger", "logger_names", "open_loggers"]

PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}  # logger, also the extra's name: package


def logger_names(asked: str | None) -> list[str]:
    """Return the names in e.g. "tensorboard,wandb"; none for None and "none".

    Raises:
        InputError: a logger does not exist, or its package is not installed.
    """
    names = list(dict.fromkeys(name.strip() for name in (asked or "none").split(",")))
    for name in names:
        if name not in PACKAGES and names != ["none"]:
            raise InputError(
                f"logger is {asked!r}; expected none, {', '.join(PACKAGES)}, or several separated by commas"
                f"{nearest(name, PACKAGES)}"
            )
        if name in PACKAGES and find_spec(PACKAGES[name]) is None:
            raise InputError(
                f"logger {name!r} needs the package {PACKAGES[name]}, which is not installed: "
                f"pip install 'scratchgpt[{name}]'"
            )
    return [name for name in names if name != "none"]


@contextmanager
def open_loggers(
    asked: str | None, folder: str | Path, settings: Mapping[str, Any], step: int = 0
) -> Iterator[Sequence[Logger]]:
    """Yield the requested loggers, and close them at the end, also after an exception.

    Args:
        asked: names of loggers, see `logger_names`.
        folder: the run's folder.
        settings: the run's settings, section by section.
        step: number of steps that the run has already taken.

    Raises:
        InputError: see `logger_names`.
    """
    with ExitStack() as stack:
        modules = [import_module(f"scratchgpt.training.loggers.{name}") for name in logger_names(asked)]
        yield [stack.enter_context(closing(m.open_logger(Path(folder), settings, step))) for m in modules]
