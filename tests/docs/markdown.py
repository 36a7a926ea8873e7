"""Markdown pages as the tests read them: fenced blocks with their marks, inline code, links.

A block of commands (```sh, ```console, or no language) or of Python is run, unless an HTML comment right
above it says why not. The comment is one of `REASONS`, or names the extra that the block needs:

    <!-- not run: takes long -->
    <!-- not run: needs the extra gguf -->
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT

COMMANDS = ("", "sh", "console")  # the languages whose blocks hold commands
SHOWN = ("text", "yaml", "json")  # the languages whose blocks hold output or files
REASONS = ("needs a GPU", "needs a download", "needs PyTorch", "takes long", "changes the machine")
EXTRA = "needs the extra "

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMENT = re.compile(r"^<!-- (.*) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the page, relative to the repository.
        line: the number of its first line of content, from 1.
        language: the word after the opening fence.
        text: its content.
        reason: why it is not run, or None.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None

    @property
    def where(self) -> str:
        """Return page and line, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Return the location and the text of each line; a backslash at the end joins two."""
        joined: list[tuple[str, str]] = []
        pending = ""
        for number, line in enumerate(self.text.splitlines(), self.line):
            pending += (line.lstrip() if pending else line).removesuffix("\\")
            if not line.endswith("\\"):
                joined.append((f"{self.page}:{number}", pending))
                pending = ""
        return joined


def read(page: str) -> str:
    """Return the text of a page of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order.

    Raises:
        AssertionError: an unknown language, or a comment above a block that is not a known reason.
    """
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        block = Block(page, line, match[1], match[2], _reason(text[: match.start()]))
        known = (*COMMANDS, *SHOWN, "python")
        assert block.language in known, f"{block.where}: unknown language {block.language!r}"
        assert block.reason is None or _is_known(block.reason), (
            f"{block.where}: unknown reason {block.reason!r}"
        )
        found.append(block)
    return found


def inline_code(page: str, text: str) -> list[tuple[str, str]]:
    """Return the location and the text of every span of inline code on a page."""
    prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    return [
        (f"{page}:{prose.count(chr(10), 0, match.start()) + 1}", " ".join(match[1].split()))
        for match in INLINE.finditer(prose)
    ]


def links(text: str) -> list[str]:
    """Return the targets of the links of a page that lead into the repository."""
    prose = FENCE.sub("", text)
    return [target for target in LINK.findall(prose) if not re.match(r"https?:|#", target)]


def page_folder(page: str) -> Path:
    """Return the folder that relative links of a page start from."""
    return (ROOT / page).parent


def _reason(before: str) -> str | None:
    """Return what the comment right above a block says, without the words that all have in common."""
    *_, above = before.rstrip("\n").splitlines() or [""]
    comment = COMMENT.match(above)
    return comment[1].removeprefix("not run: ") if comment else None


def _is_known(reason: str) -> bool:
    return reason in REASONS or reason.startswith(EXTRA)
