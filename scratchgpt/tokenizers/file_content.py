"""Reading tokenizer files, with errors that name the file and say what is wrong."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scratchgpt.errors import InputError


def read_content(path: str | Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        InputError: the file is missing or unreadable, or the path is a folder.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a tokenizer file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def json_object(content: bytes, name: str) -> dict[str, Any]:
    """Return the JSON object in the content of the file called `name`.

    Raises:
        InputError: the content is empty, not UTF-8, or not a JSON object.
    """
    if not content.strip():
        raise InputError(f"{name} is empty; expected a JSON object")
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}; expected JSON"
        ) from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{name} is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{name} holds a {type(found).__name__}; expected a JSON object")
    return found


@contextmanager
def prefix_errors(name: str) -> Iterator[None]:
    """Prefix the message of every InputError raised in the body with `name: `, the file being read."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
