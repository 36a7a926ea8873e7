"""Standard input and other pipes, which can be read only once: their text is copied to a temporary file."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from scratchgpt.corpora.text_files import READ_BYTES, Source
from scratchgpt.errors import InputError
from scratchgpt.utils.cache_folder import cache_folder
from scratchgpt.utils.files import make_folder


def standard_input(errors: str = "strict") -> Source:
    """Read standard input to its end and return the text.

    Raises:
        InputError: there is no standard input, or no disk space for the copy.
    """
    if sys.stdin is None:
        raise InputError("there is no standard input; redirect text to it, or pass a file with --data")
    if sys.stdin.isatty():
        end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
        print(f"reading text from the terminal; end it with {end} on a new line", file=sys.stderr)
    return spooled(sys.stdin.buffer, "standard input", errors)


def spooled(stream: BinaryIO, name: str, errors: str = "strict") -> Source:
    """Copy a stream to a temporary file in the cache folder, and return that file's text.

    The system's temporary folder is often in memory (tmpfs), which a long text would fill. Where the system
    allows it, the file has no name, so that nothing is left behind however the program ends.

    Raises:
        InputError: the stream cannot be read, or the file cannot be written.
    """
    folder = make_folder(cache_folder())
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- open until the program ends
    atexit.register(file.close)
    try:
        shutil.copyfileobj(stream, file, READ_BYTES)
    except OSError as error:
        file.close()
        raise InputError(
            f"cannot copy {name} to {folder}: {error.strerror or error}; set SCRATCHGPT_CACHE to use another "
            "folder"
        ) from error

    def blocks() -> Iterator[bytes]:
        place = 0
        while True:
            file.seek(place)  # another iterator may have moved it
            block = file.read(READ_BYTES)
            if not block:
                return
            place += len(block)
            yield block

    return Source(name, blocks, errors)
