"""A flag for every field of GenerationSettings, and what becomes of the run's own settings beside it."""

import dataclasses
import re
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, get_origin, get_type_hints

from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings
from scratchgpt.utils.validation import from_mapping

HINTS = get_type_hints(GenerationSettings)
ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
MANY = {  # fields that hold several things: what the flag takes, and how to say it
    list: ("TEXT", r"Once for each, '' for none; \n, \t and \\ are a line end, a tab and a backslash."),
    dict: ("TOKEN=NUMBER", "Once for each, '' for none; 13 is an id, the or 'the' a text, '13' too."),
}


def add_generation_arguments(parser: Parser) -> None:
    """Add a flag for every field of `GenerationSettings` but the prompt; helps are its docstring's."""
    described = Parser()
    described.add_class_arguments(GenerationSettings)
    helps = {action.dest: action.help for action in described._actions}
    group = parser.add_argument_group("how to write", "What is not given here is as the run has it.")
    for field in dataclasses.fields(GenerationSettings):
        name, hint, help_ = field.name, HINTS[field.name], helps[field.name]
        if name == "prompt":
            continue
        kind: dict[str, Any] = {"type": hint, "help": help_}
        if get_origin(hint) in MANY:
            metavar, how = MANY[get_origin(hint)]
            kind = {"type": str, "action": "append", "metavar": metavar, "help": f"{help_} {how}"}
        group.add_argument("--" + name.replace("_", "-"), default=SUPPRESS, **kind)


def typed_settings(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the generation settings among the flags that were typed."""
    typed = {name: flags[name] for name in HINTS if name in flags}
    for name, value in typed.items():
        if get_origin(HINTS[name]) is list:
            typed[name] = [unescaped(text) for text in value if text]
        elif get_origin(HINTS[name]) is dict:
            typed[name] = dict(_bias(text) for text in value if text)
    return typed


def chosen_settings(
    saved: Mapping[str, Any], typed: Mapping[str, Any]
) -> tuple[GenerationSettings, Sequence[str]]:
    """Return a run's settings overridden by flags, and the names of those that flags do not go with.

    Flags win: with `--beams 4` a saved top_k is left out. As few settings as possible are.

    Raises:
        InputError: settings that are bad whatever the run says.
    """
    try:
        return from_mapping(GenerationSettings, {**saved, **typed}, "generation."), []
    except InputError:
        unset = from_mapping(GenerationSettings, saved, "generation.")
    own = [name for name in saved if name not in typed and getattr(unset, name) != _default(name)]
    for n in range(1, len(own)):
        for names in combinations(own, n):
            kept = {name: value for name, value in saved.items() if name not in names}
            try:
                return from_mapping(GenerationSettings, {**kept, **typed}, "generation."), names
            except InputError:
                continue
    return from_mapping(GenerationSettings, typed, "generation."), own


def unescaped(text: str) -> str:
    r"""Return the text with \n, \t and \\ replaced by what they stand for; other backslashes stay."""
    return re.sub(r"\\([nt\\])", lambda match: ESCAPES[match[1]], text)


def _default(name: str) -> Any:
    return getattr(GenerationSettings(), name)


def _bias(text: str) -> tuple[int | str, float]:
    token, _, number = text.rpartition("=")
    try:
        bias = float(number)
    except ValueError:
        token = ""
    if not token:
        raise InputError(f"--logit-bias is {text!r}; expected TOKEN=NUMBER, as 13=-5 or the=2.5")
    if token.isdecimal():
        return int(token), bias
    quoted = re.fullmatch(r"""(['"])(.+)\1""", token, re.DOTALL)
    return unescaped(quoted[2] if quoted else token), bias
