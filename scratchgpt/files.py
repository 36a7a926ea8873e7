"""Files: read with errors that say what is wrong, written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scratchgpt.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; afterwards it takes the place of `path` in one step.

    If the body raises, the temporary file is removed and `path` is as it was.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.touch()
        mode = temporary.stat().st_mode  # the user's, whatever the writer's library prefers
        try:
            yield temporary
            temporary.chmod(mode)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # on disk before it gets its name
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def make_folder(path: str | Path) -> Path:
    """Create a folder and prove that it can be written to.

    Raises:
        InputError: it cannot be created or written to.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"cannot write to folder {path}: {error.strerror or error}") from error
    return path


def read_text(path: str | Path) -> str:
    """Return the text of a UTF-8 file; line ends become newlines and a byte-order mark is dropped.

    Raises:
        InputError: missing, a folder, unreadable, empty, or not UTF-8 (with the byte's offset).
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a text file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a text file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start} ({error.reason}); "
            "expected UTF-8 text"
        ) from None
    if not text:
        raise InputError(f"{path} is empty; expected text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load_json(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: missing, unreadable, or not a JSON object.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        InputError: missing, unreadable, or not a YAML mapping.
    """
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings; expected a YAML mapping of sections")
    return content
