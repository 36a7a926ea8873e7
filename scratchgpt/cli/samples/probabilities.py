"""Print tokens with their probabilities: in color on a terminal that has colors, else as a table."""

import json
import math
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scratchgpt.cli.samples.plain import RULE
from scratchgpt.generation.token_stream import GeneratedToken
from scratchgpt.utils.terminal import fits, printable

LEVELS = (  # minimum probability, style, label in the legend
    (0.5, "", "over 50 %"),
    (0.2, "black on #ffeaa7", "20-50 %"),
    (0.05, "black on #d99a1c", "5-20 %"),
    (0.01, "black on #e2603a", "1-5 %"),
    (0.0, "bold white on #a61e4d", "under 1 %"),
)
LINE_END = "↵\n"


def print_probabilities(out: Console, texts: Iterable[tuple[str | None, Iterable[GeneratedToken]]]) -> None:
    """Print prompts, the generated tokens and their probabilities.

    In color, each token appears as soon as it is generated, after the dimmed prompt. The table is for a file,
    a pipe or a terminal without color, and for alternatives.
    """
    if has_colors(out):
        out.print(legend())
    for i, (prompt, tokens) in enumerate(texts):
        if i:
            out.print(RULE)
        out.print(Text(printable(prompt or ""), style="dim"), end="", soft_wrap=True)
        shown = []
        for token in tokens:
            shown.append(token)
            out.print(colored(token), end="", soft_wrap=True)
        out.print()
        if shown and (not has_colors(out) or any(token.alternatives for token in shown)):
            side_by_side = table(shown)
            out.print(side_by_side if fits(out, side_by_side) else table(shown, stacked=True))


def has_colors(out: Console) -> bool:
    """Return whether the terminal supports color and NO_COLOR is not set (https://no-color.org)."""
    return out.color_system is not None and not out.no_color


def legend() -> Text:
    """Return the legend of the colors."""
    parts = [part for _, style, words in LEVELS for part in ((f" {words} ", style), " ")]
    return Text.assemble("probability: ", *parts)


def colored(token: GeneratedToken) -> Text:
    """Return a token's text in the color of its probability, with visible newlines."""
    p = math.exp(token.logprob)
    style = next(style for least, style, _ in LEVELS if p >= least)
    return Text(printable(token.text).replace("\n", LINE_END), style=style)


def table(tokens: Sequence[GeneratedToken], stacked: bool = False) -> Table:
    """Return a table with a row per token: text, probability, and the alternatives with theirs.

    Each alternative has its own column or, with `stacked` for narrow terminals, its own line in one column.
    """
    rows = Table(box=SIMPLE_HEAD, pad_edge=False)
    rows.add_column("token", overflow="fold")
    rows.add_column("probability", justify="right", no_wrap=True)
    most = max((len(token.alternatives) for token in tokens), default=0)
    for i in range(min(most, 1) if stacked else most):
        rows.add_column(ordinal(i + 1), overflow="fold")
    for token in tokens:
        others = [f"{quoted(text)} {math.exp(logprob):.3f}" for text, logprob in token.alternatives]
        cells = ["\n".join(others)] if stacked else others
        rows.add_row(quoted(token.text), f"{math.exp(token.logprob):.3f}", *cells)
    return rows


def ordinal(n: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, ..."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{'th' if n % 100 in (11, 12, 13) else suffix}"


def quoted(text: str) -> str:
    """Return a text as a JSON string, which shows its spaces and fits on one line."""
    return printable(json.dumps(text, ensure_ascii=False))
