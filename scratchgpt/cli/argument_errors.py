"""What is wrong with a command line or a settings file.

jsonargparse reports errors as prose, which may read differently in its next version. So its messages are not
parsed. Instead, the input is compared with the parser's options, and the first thing that does not fit is
reported: an unknown option, a value of the wrong type, something missing.
"""

from argparse import SUPPRESS, Action, ArgumentError
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser

from scratchgpt.utils.validation import closest, describe_type
from scratchgpt.utils.words import any_of

FROM_SHTAB = "print_shtab"  # jsonargparse adds this option where the package shtab is installed


def wrong_argument(parser: ArgumentParser, argv: Sequence[str]) -> str | None:
    """Return the first problem of a command line, or None if none is found."""
    return next(_command_line_problems(parser, argv), None)


def wrong_setting(parser: ArgumentParser, settings: Mapping[Any, Any]) -> str | None:
    """Return the first problem of the settings in a YAML file, or None if none is found."""
    return next(_settings_problems(parser, settings, ""), None)


def hint_of(action: Action) -> Any:
    """Return the type hint of an option, or None if it has none, such as a flag."""
    return getattr(action, "_typehint", None)


def _command_line_problems(parser: ArgumentParser, argv: Sequence[str]) -> Iterator[str]:
    words: list[str] = []
    given: set[str] = set()
    rest = deque(argv)
    while rest:
        word = rest.popleft()
        if word == "--":
            words += rest
            rest.clear()
        elif _is_option(word):
            yield from _option_problems(parser, word, rest, given)
        elif commands := _commands(parser):
            yield from _command_problems(commands, word, rest)
            return
        else:
            words.append(word)
    yield from _missing_or_extra(parser, words, given)


def _is_option(word: str) -> bool:
    """Return whether argparse takes a word as an option: "--x", "--x=1", "-x", but not "-", "-1" or "- x"."""
    name = word.partition("=")[0]
    try:
        float(name)
    except ValueError:
        return name.startswith("-") and name != "-" and " " not in name
    return False


def _option_problems(parser: ArgumentParser, word: str, rest: deque[str], given: set[str]) -> Iterator[str]:
    """Check one option and its value, which may be the next word: take it from `rest`."""
    name, has_value, value = word.partition("=")
    action = _option(parser, name)
    if action is None:
        yield _unknown(parser, name, _suggest(name.lstrip("-"), _suggestions(parser)), "--")
        return
    given.add(action.dest)
    if action.nargs == 0:
        if has_value:
            yield f"{name} is {value!r}; it takes no value"
    elif has_value or (rest and not _is_option(rest[0])):
        yield from _value_problems(parser, action, name, value if has_value else rest.popleft())
    else:
        yield f"{name} has no value" + (f"; for {rest[0]!r}, write {name}={rest[0]}" if rest else "")


def _option(parser: ArgumentParser, name: str) -> Action | None:
    """Return the option of this name; `--x.key` is a key of an option `--x` that holds a mapping."""
    options = {option: action for action in parser._actions for option in action.option_strings}
    owner = options.get(name.rpartition(".")[0])
    return options.get(name) or (owner if owner and get_origin(hint_of(owner)) is dict else None)


def _suggestions(parser: ArgumentParser) -> list[str]:
    """Return the documented options, without their dashes and without whole sections such as --model."""
    shown = [action for action in parser._actions if action.help != SUPPRESS and action.dest != FROM_SHTAB]
    names = [action.option_strings[-1].strip("-+") for action in shown if action.option_strings]
    sections = {name.partition(".")[0] for name in names if "." in name}
    return [name for name in names if name not in sections]


def _unknown(parser: ArgumentParser, name: str, suggestion: str | None, dashes: str = "") -> str:
    if suggestion:
        return f"unknown option {name!r}; did you mean {dashes + suggestion!r}?"
    return f"unknown option {name!r}; {parser.prog} --help lists all options"


def _suggest(name: str, known: Sequence[str]) -> str | None:
    """Return the option that was probably meant, if any is close.

    If the section (what precedes the period) exists, only its options are considered. If not, an option with
    the same name in another section comes first.
    """
    section, _, last = name.rpartition(".")
    inside = {each.rpartition(".")[2]: each for each in known if section and each.startswith(f"{section}.")}
    if inside:
        return inside.get(closest(last, inside) or "")
    anywhere = {each.rpartition(".")[2]: each for each in known}
    return anywhere.get(last) or closest(name, known) or anywhere.get(closest(last, anywhere) or "")


def _commands(parser: ArgumentParser) -> Mapping[str, ArgumentParser]:
    """Return the subcommands by name; none if the parser has no subcommands."""
    choices = [action.choices for action in parser._actions if not action.option_strings]
    return next((dict(each) for each in choices if isinstance(each, Mapping)), {})


def _command_problems(
    commands: Mapping[str, ArgumentParser], word: str, rest: Sequence[str]
) -> Iterator[str]:
    if word in commands:
        yield from _command_line_problems(commands[word], rest)
        return
    suggestion = closest(word, commands)
    help_ = f"did you mean {suggestion!r}?" if suggestion else f"expected {any_of(commands)}"
    yield f"there is no command {word!r}; {help_}"


def _missing_or_extra(parser: ArgumentParser, words: Sequence[str], given: set[str]) -> Iterator[str]:
    """Find a positional argument that is missing or one too many, or a required option that is missing."""
    if commands := _commands(parser):
        yield f"no command given; expected {any_of(commands)}"
    n_needed = n_allowed = 0
    for action in parser._actions:
        if action.option_strings:
            if action.required and action.dest not in given:
                yield f"{action.option_strings[0]} is missing; expected {action.help}"
            continue
        n_needed += action.nargs in (None, "+")
        n_allowed += len(words) if action.nargs in ("+", "*") else 1
        if len(words) < n_needed:
            yield f"{action.metavar or action.dest} is missing; expected {action.help}"
    if len(words) > n_allowed:
        yield f"unexpected argument {words[n_allowed]!r}"


def _settings_problems(parser: ArgumentParser, settings: Mapping[Any, Any], section: str) -> Iterator[str]:
    """Find the problems of a file's settings, or of one section: `section` is "" or e.g. "model."."""
    options = {action.dest: action for action in parser._actions if action.nargs != 0}
    for key, value in settings.items():
        name = f"{section}{key}"
        if name not in options:
            shown = [dest for dest, action in options.items() if action.help != SUPPRESS]
            yield _unknown(parser, name, _suggest(name, shown))
        elif not any(dest.startswith(f"{name}.") for dest in options):
            yield from _value_problems(parser, options[name], name, value)
        elif isinstance(value, Mapping):
            yield from _settings_problems(parser, value, f"{name}.")
        else:
            yield f"{name} is {value!r}; expected a mapping of options"


def _value_problems(parser: ArgumentParser, action: Action, name: str, value: Any) -> Iterator[str]:
    """Check the value of an option: text from a command line, or any object from a file."""
    hint = hint_of(action)
    suffix = next(
        (name.removeprefix(option) for option in action.option_strings if name.startswith(option)), ""
    )
    if hint is None:
        if action.type is None:  # a section
            yield from _section_problems(parser, action, name, value)
    elif not _fits(hint, value, suffix):
        choices = _choices(hint)
        if suggestion := closest(str(value), choices):
            yield f"{name} is {value!r}; did you mean {suggestion!r}?"
        elif len(choices) > 2:
            yield f"{name} is {value!r}; expected one of {', '.join(choices)}"
        else:
            yield f"{name} is {value!r}; expected {any_of(choices) if choices else describe_type(hint)}"


def _section_problems(parser: ArgumentParser, action: Action, name: str, text: str) -> Iterator[str]:
    """Check a whole section: a mapping, as in `--model '{n_layer: 2}'`, or a YAML file, which is not read."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        content = None
    if isinstance(content, dict):
        yield from _settings_problems(parser, content, f"{action.dest}.")
    elif not Path(text).is_file():
        yield f"{name} is {text!r}; expected a YAML file, or a mapping such as '{{option: value}}'"


def _fits(hint: Any, value: Any, suffix: str) -> bool:
    """Return whether jsonargparse accepts a value for a type hint.

    The suffix of the option is "+" if the value is appended to a list, ".key" if it is one of a mapping.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        if isinstance(value, str):
            parser.parse_args([f"--value{suffix}={value}"])
        else:
            parser.parse_object({"value": value})
    except ArgumentError:
        return False
    return True


def _choices(hint: Any) -> list[str]:
    """Return the strings that Literal["a", "b"] or Literal["a", "b"] | None allows; none for other hints."""
    arms = [hint] if get_origin(hint) is Literal else [arm for arm in get_args(hint) if arm is not type(None)]
    return list(get_args(arms[0])) if len(arms) == 1 and get_origin(arms[0]) is Literal else []
