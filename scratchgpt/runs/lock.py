"""A lock on the folder of a run, so that two processes never train in it at once.

The lock is a file that names its holder. On one host, the operating system's lock on that file decides: it
ends with the process, however the process ends. So the lock of a dead process is taken over, and another
process that has its PID now is not mistaken for it. A holder on another host cannot be checked: there the
file counts as a lock until a user removes it. The clock is read for the message only.
"""

import contextlib
import json
import os
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import TextIO

from scratchgpt.errors import InputError

LOCK_FILE = "train.lock"

if sys.platform == "win32":
    import msvcrt

    def _lock(file: TextIO) -> None:
        file.seek(1 << 30)  # far beyond the content, so that other processes can read that
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class RunLock:
    """The lock of a folder, held from `acquire` until `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_FILE
        self._file: TextIO | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            InputError: if a process on this host or another one holds it, or the folder cannot be written to.
        """
        try:
            file = self._open_locked()
            holder = _holder(file)
            if holder.get("host", socket.gethostname()) != socket.gethostname():
                file.close()
                raise InputError(
                    f"{self.path.parent} is locked by {_describe(holder)}, which cannot be checked from "
                    f"{socket.gethostname()}; if that process no longer runs, remove {self.path}"
                )
            file.seek(0)
            file.truncate()
            since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since}, file)
            file.flush()
        except OSError as error:
            raise InputError(f"cannot lock {self.path}: {error.strerror or error}") from error
        self._file = file

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._file is None:
            return
        file, self._file = self._file, None
        if sys.platform == "win32":  # an open file cannot be removed there
            file.close()
            with contextlib.suppress(PermissionError):  # another process has opened it
                self.path.unlink()
        else:
            self.path.unlink(missing_ok=True)
            file.close()

    def _open_locked(self) -> TextIO:
        """Open and lock the file; open it again if its holder has removed it in between."""
        while True:
            file = self.path.open("a+", encoding="utf-8")
            try:
                _lock(file)
                if self.path.exists() and os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                    return file
            except (BlockingIOError, PermissionError):
                holder = _describe(_holder(file))
                file.close()
                raise InputError(
                    f"{self.path.parent} is being trained by {holder}; wait for it, or stop it with Ctrl-C "
                    "or SIGTERM: it saves before it exits"
                ) from None
            except BaseException:
                file.close()
                raise
            file.close()


def _holder(file: TextIO) -> dict[str, object]:
    """Return the content of the file; empty if its holder has not written it yet, or was killed before."""
    file.seek(0)
    try:
        content = json.load(file)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _describe(holder: dict[str, object]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on host {holder.get('host')}, since {holder.get('since')}"
