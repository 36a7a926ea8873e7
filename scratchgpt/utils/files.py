"""Read files with helpful errors, and write them atomically: complete, or not at all."""

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scratchgpt.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` when the block ends.

    If the block raises, the temporary file is removed and `path` is unchanged. When the block has ended, both
    content and name are on disk (fsync), so a power cut does not bring the old file back.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.touch()
        mode = temporary.stat().st_mode  # by the user's umask; safetensors would set its own mode
        try:
            yield temporary
            temporary.chmod(mode)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # on disk before it gets its name
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk; not possible on Windows, which cannot open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # this file system cannot sync folders
            raise
    finally:
        os.close(descriptor)


def remove_temporaries(folder: str | Path) -> None:
    """Remove temporary files that killed processes left in a folder.

    These are the files of `atomic_path`, and those that safetensors creates, with names such as .tmpgJd7I3.
    No other process may be writing to the folder.

    Raises:
        InputError: a file cannot be removed.
    """
    for path in Path(folder).glob(".*"):
        if re.fullmatch(r"\..+\.\d+\.tmp|\.tmp\w{6}", path.name):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"cannot remove {path}: {error.strerror or error}") from error


def make_folder(path: str | Path) -> Path:
    """Create a folder, if it does not exist, and check that it is writable.

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
    """Return the text of a UTF-8 file, with line ends as newlines and without a byte-order mark.

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
