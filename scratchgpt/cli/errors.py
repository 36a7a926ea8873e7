"""How a program ends when something goes wrong: one line on standard error, and an exit code."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from scratchgpt.errors import InputError


@contextmanager
def exit_on_error(prog: str) -> Iterator[None]:
    """Turn bad input into one line on standard error and exit code 2, and Ctrl-C into exit code 130.

    Args:
        prog: the program's name, which begins the line.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # the terminal's encoding may lack characters that models write
    try:
        yield
    except InputError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        print(
            f"{prog}: error: out of memory ({error}); try --training.recompute true (a third more time), "
            "a larger --training.accumulate, a smaller --training.batch_size, --model.block_size or model, "
            "or --precision bf16 on a GPU",
            file=sys.stderr,
        )
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output, such as head, has quit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(130)
