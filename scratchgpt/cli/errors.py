"""Errors in words, for people at a command line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from scratchgpt.errors import InputError


@contextmanager
def errors_in_words(prog: str) -> Iterator[None]:
    """Turn bad input into one line on standard error and exit code 2, and Ctrl-C into exit code 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack a character that the model writes
    try:
        yield
    except InputError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        print(
            f"{prog}: error: out of memory ({error}); try --training.recompute true (a third more time), "
            "a larger --training.accumulate or smaller --training.batch_size, --model.block_size or model, "
            "or on a GPU --precision bf16",
            file=sys.stderr,
        )
        sys.exit(2)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(130)
