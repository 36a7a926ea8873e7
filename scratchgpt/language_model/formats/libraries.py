"""Optional libraries, which only some formats need."""

import importlib
from typing import Any

from scratchgpt.errors import InputError


def library(name: str, install: str, purpose: str) -> Any:
    """Import a library and return its module.

    Args:
        name: the module's name.
        install: what to pass to pip install.
        purpose: what needs it, for the message.

    Raises:
        InputError: it is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"{purpose} needs the package {name}; install it with: pip install '{install}'"
        ) from None
