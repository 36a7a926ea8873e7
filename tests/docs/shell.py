"""Just enough of a shell to run what the pages show: words in quotes, pipes, `>`, `&&`, `NAME=value`, `#`.

Anything else (globs, variables, `;`, `<`) is refused, so that the pages stay with what works in every shell.
"""

import re
import shlex
from dataclasses import dataclass, field

QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"")
PLACEHOLDER = re.compile(r"(?<=git clone )<[a-z ]+>")  # what the reader has to fill in
SPECIAL = set("*?$`;<(){}[]!")


@dataclass
class Command:
    """A program with its arguments.

    Attributes:
        where: page and line, for messages.
        words: the program and its arguments.
        environment: variables that are set for it.
        output: the file that its standard output goes to, or None.
        pipe: whether its standard output is the standard input of the next command.
    """

    where: str
    words: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    pipe: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {shlex.join(self.words)}"


def commands(where: str, line: str) -> list[Command]:
    """Return the commands of a line, in order; none if it is blank or a comment.

    Raises:
        AssertionError: syntax that is not supported, or a remark without a `#` in front of it.
    """
    code = _without_comment(line.removeprefix("$ "))
    code = PLACEHOLDER.sub("address", code)
    bare = QUOTED.sub("x", code)
    assert not (found := set(bare) & SPECIAL), f"{where}: unquoted {' '.join(sorted(found))} in {line!r}"
    assert "  " not in bare.strip(), f"{where}: a remark without # in {line!r}"
    lexer = shlex.shlex(code, posix=True, punctuation_chars="|>&")
    lexer.whitespace_split = True
    found_commands = [Command(where)]
    words = iter(lexer)
    for word in words:
        command = found_commands[-1]
        if word in ("|", "&&"):
            command.pipe = word == "|"
            found_commands.append(Command(where))
        elif word == ">":
            command.output = next(words)
        elif re.fullmatch(r"[A-Z_]+=.*", word) and not command.words:
            name, _, command.environment[name] = word.partition("=")
        else:
            assert not set(word) & set("|>&") or word in ("", *shlex.split(code)), f"{where}: {word!r}"
            command.words.append(word)
    if found_commands == [Command(where)]:
        return []
    assert all(command.words for command in found_commands), f"{where}: an empty command in {line!r}"
    return found_commands


def _without_comment(line: str) -> str:
    """Return the line up to a `#` that begins a word outside quotes."""
    hidden = QUOTED.sub(lambda match: "x" * len(match[0]), line)
    comment = re.search(r"(^|\s)#", hidden)
    return line[: comment.start()] if comment else line
