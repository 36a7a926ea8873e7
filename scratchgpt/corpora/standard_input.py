"""Standard input and other pipes: what can be read only once is kept in a file while the program runs."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from scratchgpt.corpora.text_files import BLOCK_SIZE, Source
from scratchgpt.errors import InputError
from scratchgpt.utils.cache_folder import cache_folder
from scratchgpt.utils.files import make_folder


def standard_input(errors: str = "strict") -> Source:
    """Return the text on standard input, once all of it has come.

    Raises:
        InputError: there is no standard input, or no space to keep it.
    """
    if sys.stdin is None:
        raise InputError("there is no standard input; expected text there, or a file for --data")
    if sys.stdin.isatty():
        end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
        print(f"reading the text from the terminal; end it with {end} on a line of its own", file=sys.stderr)
    return spooled(sys.stdin.buffer, "standard input", errors)


def spooled(stream: BinaryIO, name: str, errors: str = "strict") -> Source:
    """Copy what a stream gives to a temporary file in the cache folder, and return that.

    The system's own temporary folder is often part of the memory, which a long text would fill. The file
    has no name where the system allows that, so that nothing is left behind however the program ends.

    Raises:
        InputError: the stream cannot be read, or the file not written.
    """
    folder = make_folder(cache_folder())
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- it lives as long as the program
    atexit.register(file.close)
    try:
        shutil.copyfileobj(stream, file, BLOCK_SIZE)
    except OSError as error:
        file.close()
        raise InputError(f"cannot keep {name} in {folder}: {error.strerror or error}") from error

    def blocks() -> Iterator[bytes]:
        place = 0
        while True:
            file.seek(place)  # another reader may have moved it
            block = file.read(BLOCK_SIZE)
            if not block:
                return
            place += len(block)
            yield block

    return Source(name, blocks, errors)
