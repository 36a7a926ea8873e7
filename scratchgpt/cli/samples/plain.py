"""Texts as they are, with their prompts."""

import sys
from collections.abc import Iterable

from scratchgpt.utils.terminal import printable

RULE = "-" * 72


def print_texts(texts: Iterable[tuple[str | None, Iterable[str]]]) -> None:
    """Print prompts and what continues them, piece by piece as it comes, with a rule between texts.

    A terminal gets nothing that it would obey; a file or a pipe gets the text as it is.
    """
    shown = printable if sys.stdout.isatty() else str
    for i, (prompt, pieces) in enumerate(texts):
        if i:
            print(RULE)
        print(shown(prompt or ""), end="", flush=True)
        for piece in pieces:
            print(shown(piece), end="", flush=True)
        print()
