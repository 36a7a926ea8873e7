"""The options for generating text, one for every field of GenerationSettings; they override the run's."""

import dataclasses
import re
from argparse import SUPPRESS
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any, get_origin, get_type_hints

from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings
from scratchgpt.utils.validation import from_mapping

HINTS = get_type_hints(GenerationSettings)
SETTING = re.compile(rf"\bgeneration\.({'|'.join(HINTS)})\b")  # as error messages name it
ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
REPEATABLE = {  # fields that are lists or mappings: the placeholder of one item, and how to write it
    list: ("TEXT", r"Repeat the option for more texts, '' for none; \n, \t and \\ are escapes."),
    dict: (
        "TOKEN=NUMBER",
        "Repeat the option for more tokens, '' for none. A bare number is a token id; anything else, or a "
        "quoted number, is text.",
    ),
}


def add_generation_arguments(parser: Parser) -> None:
    """Add an option for every field of `GenerationSettings` but the prompt, with help from its docstring."""
    documented = Parser()
    documented.add_class_arguments(GenerationSettings)
    helps = {action.dest: action.help for action in documented._actions}
    group = parser.add_argument_group("generation", "The defaults are the settings of the run.")
    for field in dataclasses.fields(GenerationSettings):
        name, hint, help_ = field.name, HINTS[field.name], helps[field.name]
        if name == "prompt":
            continue
        kind: dict[str, Any] = {"type": hint, "help": help_}
        if get_origin(hint) in REPEATABLE:
            metavar, how = REPEATABLE[get_origin(hint)]
            kind = {"type": str, "action": "append", "metavar": metavar, "help": f"{help_} {how}"}
        group.add_argument("--" + name.replace("_", "-"), default=SUPPRESS, **kind)


def typed_settings(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the generation settings among the options that the user typed."""
    typed = {name: flags[name] for name in HINTS if name in flags}
    for name, value in typed.items():
        if get_origin(HINTS[name]) is list:
            typed[name] = [unescaped(text) for text in value if text]
        elif get_origin(HINTS[name]) is dict:
            typed[name] = dict(_bias(text) for text in value if text)
    return typed


@contextmanager
def errors_name_options() -> Iterator[None]:
    """Name settings as the user types them in the messages of errors: `--top-k` for `generation.top_k`."""
    try:
        yield
    except InputError as error:
        options = SETTING.sub(lambda match: "--" + match[1].replace("_", "-"), str(error))
        raise InputError(options) from None


def without_section(message: str) -> str:
    """Return an error message with settings named as `/set` in a chat names them, without "generation."."""
    return SETTING.sub(r"\1", message)


def chosen_settings(
    saved: Mapping[str, Any], typed: Mapping[str, Any]
) -> tuple[GenerationSettings, Sequence[str]]:
    """Return a run's settings overridden by the options typed, and the names of the saved settings dropped.

    Options win: a saved top_k is dropped if the user types `--beams 4`, because the two exclude each other.
    As few saved settings as possible are dropped.

    Raises:
        InputError: if the options are invalid whatever the run's settings are.
    """
    try:
        return from_mapping(GenerationSettings, {**saved, **typed}, "generation."), []
    except InputError:
        unset = from_mapping(GenerationSettings, saved, "generation.")
    changed = [name for name in saved if name not in typed and getattr(unset, name) != _default(name)]
    for n in range(1, len(changed)):
        for names in combinations(changed, n):
            kept = {name: value for name, value in saved.items() if name not in names}
            try:
                return from_mapping(GenerationSettings, {**kept, **typed}, "generation."), names
            except InputError:
                continue
    with errors_name_options():
        return from_mapping(GenerationSettings, typed, "generation."), changed


def unescaped(text: str) -> str:
    r"""Return the text with \n, \t and \\ replaced by newline, tab and backslash; other backslashes stay."""
    return re.sub(r"\\([nt\\])", lambda match: ESCAPES[match[1]], text)


def _default(name: str) -> Any:
    return getattr(GenerationSettings(), name)


def _bias(text: str) -> tuple[int | str, float]:
    """Return the token, an id or text, and the number of TOKEN=NUMBER."""
    token, _, number = text.rpartition("=")
    try:
        bias = float(number)
    except ValueError:
        token = ""
    if not token:
        raise InputError(f"--logit-bias is {text!r}; expected TOKEN=NUMBER, e.g. 13=-5 or the=2.5")
    if token.isdecimal():
        return int(token), bias
    quoted = re.fullmatch(r"""(['"])(.+)\1""", token, re.DOTALL)
    return unescaped(quoted[2] if quoted else token), bias
