"""Print texts with their prompts."""

import sys
from collections.abc import Iterable

from scratchgpt.utils.terminal import printable

RULE = "-" * 72


def print_texts(texts: Iterable[tuple[str | None, Iterable[str]]]) -> None:
    """Print each prompt and its continuation, piece by piece as it is generated, with a rule between texts.

    Control characters are removed for a terminal; a file or a pipe gets the text unchanged.
    """
    shown = printable if sys.stdout.isatty() else str
    for i, (prompt, pieces) in enumerate(texts):
        if i:
            print(RULE)
        print(shown(prompt or ""), end="", flush=True)
        for piece in pieces:
            print(shown(piece), end="", flush=True)
        print()
