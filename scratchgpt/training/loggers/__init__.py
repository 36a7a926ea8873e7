"""Loggers: where else a run's numbers go while it trains, besides metrics.jsonl.

`--logger tensorboard`, `--logger wandb`, or both with a comma. Each is a library of its own, which an
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

PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}  # by logger, which is also the extra's name


def logger_names(asked: str | None) -> list[str]:
    """Return the loggers in "tensorboard,wandb"; None and "none" are no logger.

    Raises:
        InputError: there is no such logger, or its package is not installed.
    """
    names = list(dict.fromkeys(name.strip() for name in (asked or "none").split(",")))
    for name in names:
        if name not in PACKAGES and names != ["none"]:
            raise InputError(
                f"logger is {asked!r}; expected none, {', '.join(PACKAGES)}, or several with commas"
                f"{nearest(name, PACKAGES)}"
            )
        if name in PACKAGES and find_spec(PACKAGES[name]) is None:
            raise InputError(
                f"logger {name!r} needs the package {PACKAGES[name]}; "
                f"expected it to be installed: pip install 'scratchgpt[{name}]'"
            )
    return [name for name in names if name != "none"]


@contextmanager
def open_loggers(
    asked: str | None, folder: str | Path, settings: Mapping[str, Any], step: int = 0
) -> Iterator[Sequence[Logger]]:
    """Give the loggers that are asked for; they are closed afterwards, whatever happens.

    Args:
        asked: see `logger_names`.
        folder: of the run.
        settings: of the run, section by section.
        step: steps that the run has taken already.

    Raises:
        InputError: as `logger_names`.
    """
    with ExitStack() as stack:
        modules = [import_module(f"scratchgpt.training.loggers.{name}") for name in logger_names(asked)]
        yield [stack.enter_context(closing(m.open_logger(Path(folder), settings, step))) for m in modules]
