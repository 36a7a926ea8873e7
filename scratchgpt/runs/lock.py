"""A lock on the folder of a run, so that two processes never train in it at once.

The lock is a file that says who holds it. On one host the operating system decides: its lock on the file
ends with the process, however that ended, so a dead holder's lock is simply taken over, and a new process
with the old one's number is not taken for the holder. Another host cannot be asked: there a file that was
left counts, until somebody removes it. No clock is read but for the message.
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

NAME = "train.lock"

if sys.platform == "win32":
    import msvcrt

    def _lock(file: TextIO) -> None:
        file.seek(1 << 30)  # a byte that nobody writes: the others can then be read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class RunLock:
    """The lock of one folder; held from `acquire` to `release`, or to the end of the process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file: TextIO | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            InputError: another process holds it, or did on another host; or the folder cannot be written to.
        """
        try:
            file = self._open_locked()
            holder = _holder(file)
            if holder.get("host", socket.gethostname()) != socket.gethostname():
                file.close()
                raise InputError(
                    f"{self.path.parent} is locked by {_in_words(holder)}, which cannot be seen from "
                    f"{socket.gethostname()}; if no training runs there any more, remove {self.path}"
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
        """Let the next one in; nothing happens if the lock is not held."""
        if self._file is None:
            return
        file, self._file = self._file, None
        if sys.platform == "win32":  # an open file cannot be removed there
            file.close()
            with contextlib.suppress(PermissionError):  # the next one has opened it
                self.path.unlink()
        else:
            self.path.unlink(missing_ok=True)
            file.close()

    def _open_locked(self) -> TextIO:
        """Return the file, opened and locked; open it anew if its holder has removed it in between."""
        while True:
            file = self.path.open("a+", encoding="utf-8")
            try:
                _lock(file)
                if self.path.exists() and os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                    return file
            except (BlockingIOError, PermissionError):
                holder = _in_words(_holder(file))
                file.close()
                raise InputError(
                    f"{self.path.parent} is being trained by {holder}; expected one process at a time. "
                    "Wait for it, or stop it with Ctrl-C or SIGTERM: it saves before it ends"
                ) from None
            except BaseException:
                file.close()
                raise
            file.close()


def _holder(file: TextIO) -> dict[str, object]:
    """Return what the file says; nothing if its holder is about to write, or was killed before."""
    file.seek(0)
    try:
        content = json.load(file)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _in_words(holder: dict[str, object]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on host {holder.get('host')}, since {holder.get('since')}"
