"""A folder that is created atomically: complete, or not at all."""

import ctypes
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scratchgpt.errors import InputError
from scratchgpt.utils.files import make_folder


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder to write files to, and rename it to `folder` when the block ends.

    The caller must have flushed its files to disk (fsync) by then. If the block raises, nothing is left
    behind. Leftovers of killed processes next to `folder` are removed first. If another process creates
    `folder` in the meantime, that one is kept.

    Raises:
        InputError: the folder cannot be created.
    """
    make_folder(folder.parent)
    _remove_leftovers(folder.parent)
    temporary = folder.with_name(f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        yield temporary
        try:
            temporary.rename(folder)
        except OSError as error:
            if not folder.exists():
                raise InputError(f"cannot create {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders of processes on this machine that no longer run."""
    for path in folder.glob("*-*-*.tmp"):
        node, pid, _ = path.name.rsplit("-", 2)
        if node == platform.node() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    """Return whether a process with this PID exists."""
    if sys.platform == "win32":  # os.kill would send Ctrl-C there
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        code = ctypes.c_ulong()
        found = bool(kernel.GetExitCodeProcess(handle, ctypes.byref(code)))
        kernel.CloseHandle(handle)
        return found and code.value == 259  # STILL_ACTIVE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True
