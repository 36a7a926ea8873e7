"""Commands that the user can type in a chat; they start with a slash."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from scratchgpt.cli.chat.session import Session
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings
from scratchgpt.utils.validation import from_mapping, nearest
from scratchgpt.utils.words import counted


def run_command(line: str, session: Session) -> str:
    """Run the command in a line that starts with /; return the text to show the user.

    Raises:
        InputError: if the command is unknown or fails.
    """
    name, _, rest = line.partition(" ")
    if name not in COMMANDS:
        raise InputError(f"there is no command {name!r}{nearest(name, COMMANDS)}")
    return COMMANDS[name].run(session, rest.strip())


def _reset(session: Session, _: str) -> str:
    session.reset()
    return "started a new conversation"


def _temperature(session: Session, value: str) -> str:
    return _set(session, f"temperature {value}")


def _set(session: Session, name_and_value: str) -> str:
    name, _, typed = name_and_value.partition(" ")
    name = name.replace("-", "_")
    known = [field.name for field in dataclasses.fields(GenerationSettings) if field.name != "prompt"]
    if name not in known:
        raise InputError(f"there is no setting {name!r}{nearest(name, known)}")
    if typed:
        _change(session, name, typed)
    value = getattr(session.settings, name)
    return f"{name} is {'null' if value is None else value}"


def _change(session: Session, name: str, typed: str) -> None:
    try:
        value = yaml.safe_load(typed)
    except yaml.YAMLError:
        raise InputError(f"{name} is {typed!r}; expected a YAML value, e.g. 0.5, null or [a, b]") from None
    changed = dataclasses.asdict(session.settings) | {name: value}
    session.settings = from_mapping(GenerationSettings, changed, "generation.")


def _save(session: Session, path: str) -> str:
    if not path:
        raise InputError("missing file name; type /save FILE")
    file = Path(path).expanduser()
    n = session.save(file)
    train = f"scratchgpt train --data {shlex.quote(str(file))} --corpus.format daily-dialog"
    return f"saved {counted(n, 'conversation')} to {path}; to train on it: {train}"


def _help(_: Session, __: str) -> str:
    return "\n".join(f"{command.usage:<18} {command.help}" for command in COMMANDS.values())


def _quit(session: Session, _: str) -> str:
    session.is_over = True
    return ""


class Command(NamedTuple):
    """A command: how to type it, its help text, and the function that runs it."""

    usage: str
    help: str
    run: Callable[[Session, str], str]


COMMANDS = {
    "/reset": Command("/reset", "start a new conversation", _reset),
    "/temperature": Command(
        "/temperature [X]", "set the temperature (0 is greedy), or show it", _temperature
    ),
    "/set": Command("/set NAME [VALUE]", "change a setting, e.g. /set top_p 0.9, or show it", _set),
    "/save": Command("/save FILE", "save all conversations as JSON lines to train on", _save),
    "/help": Command("/help", "show this list", _help),
    "/quit": Command("/quit", "quit (or press Ctrl-D)", _quit),
}
