"""A folder that is made whole or not at all."""

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
    """Give a temporary folder for files that are on disk in the end; then it becomes `folder` in one step.

    If the body raises, nothing is left. What processes that were killed have left beside `folder` is removed
    first. If another process makes `folder` meanwhile, that one stays.

    Raises:
        InputError: the folder cannot be made.
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
                raise InputError(f"cannot make {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders of processes of this machine that are no more."""
    for path in folder.glob("*-*-*.tmp"):
        node, pid, _ = path.name.rsplit("-", 2)
        if node == platform.node() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    """Return whether there is a process of this number."""
    if sys.platform == "win32":  # where os.kill would send Ctrl-C
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
    except PermissionError:  # somebody else's
        return True
    return True
