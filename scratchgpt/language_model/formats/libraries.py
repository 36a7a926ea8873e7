"""Libraries that only some formats need, and that need not be installed."""

import importlib
from typing import Any

from scratchgpt.errors import InputError


def library(name: str, install: str, purpose: str) -> Any:
    """Return a module.

    Args:
        name: of the module.
        install: what pip is told to install.
        purpose: what needs it, for the message.

    Raises:
        InputError: it is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"{purpose} needs the package {name}, which is missing; expected pip install '{install}'"
        ) from None
