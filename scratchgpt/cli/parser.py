"""The parser of every command: errors of one line that suggest the nearest option."""

import re
import sys
from typing import NoReturn

from jsonargparse import ArgumentParser

from scratchgpt.backends import BACKENDS
from scratchgpt.utils.validation import nearest

DATA_HELP = (
    "the text to train on: a file or folder, a pattern such as 'texts/*.md' (.txt, .md, .jsonl, .gz), - for "
    "standard input, or a built-in set"
)
FOREIGN = "--print_shtab"  # jsonargparse adds it to every parser where shtab is installed


class Parser(ArgumentParser):
    """jsonargparse's parser, whose errors are one line and suggest the nearest option.

    Attributes:
        source: what is being read besides the command line, as "my.yaml: ", for messages.
    """

    source = ""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and the nearest known option, and exit with code 2."""
        message = " ".join(message.split())
        print(
            f"{self.prog}: error: {self.source}{_in_words(message)}{self._suggestion(message)}",
            file=sys.stderr,
        )
        sys.exit(2)

    def _suggestion(self, message: str) -> str:
        group = re.search(r"Group '([\w.]+)' does not accept option '([\w.-]+)'", message)
        option = re.search(r"Option '([\w.-]+)' is not accepted|unrecognized arguments: --([\w.-]+)", message)
        if group:
            section, word = group[1], group[2]
        elif option:
            section, _, word = (option[1] or option[2]).rpartition(".")
        else:
            return ""
        options = [name for action in self._actions for name in action.option_strings]
        names = [name[2:] for name in options if name[:2] == "--" and name != FOREIGN]
        sections = {name.split(".")[0] for name in names if "." in name}
        if section in sections:  # the section is right, so the option is one of that section
            mine = [name.removeprefix(f"{section}.") for name in names if name.startswith(f"{section}.")]
            return nearest(word, mine, f"{section}.")
        places = {name.rpartition(".")[2]: name for name in names if name not in sections}
        return f"; did you mean {places[word]!r}?" if word in places else nearest(word, places.values())


def _in_words(message: str) -> str:
    """Turn jsonargparse's and Python's names for types into the words of our other messages."""
    types = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    types |= {"list": "a list, as [a, b]"}
    message = re.sub(r"<class '(\w+)'>", r"\1", message)
    if found := re.search(r'Parser key "([\w.]+)": .*(?:tuple|list)\[.*value: (.*)', message):
        return f"{found[1]} is {found[2]}; expected a list, as [1, 2]"
    simple = re.search(r'Parser key "([\w.]+)": Expected an? (.+?)\. Got value: (.*)', message)
    optional = r'Parser key "([\w.]+)": Does not validate.*Subtypes: \[(\w+), NoneType\].*value: (.*)'
    union = re.search(optional, message)
    found = simple or union
    if not found:
        return message
    if found[2].startswith("typing.Literal"):
        known = re.findall("'([^']*)'", found[2])
        return f"{found[1]} is {found[3]!r}{nearest(found[3], known)}"
    expected = types.get(found[2], found[2])
    return f"{found[1]} is {found[3]}; expected {expected}{' or null' if union else ''}"


def add_backend_arguments(parser: Parser) -> None:
    """Add the options that choose a backend."""
    names = ", ".join(BACKENDS)
    parser.add_argument("--backend", type=str, default="numpy", help=f"where to compute: {names}")
    parser.add_argument("--threads", type=int | None, help="number of CPU threads; null: one per core")
    parser.add_argument(
        "--precision", type=str, default="float32", help="on a GPU: float32, tf32, bf16 or float16"
    )
    parser.add_argument("--device", type=int | None, help="index of the GPU; null: the first")
