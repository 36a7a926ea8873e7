"""What the user can type that is not said to the model."""

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


def obey(line: str, session: Session) -> str:
    """Do what a line that begins with / says; return what there is to tell the user.

    Raises:
        InputError: an unknown command, or one that cannot be obeyed.
    """
    name, _, rest = line.partition(" ")
    if name not in COMMANDS:
        raise InputError(f"there is no command {name!r}{nearest(name, COMMANDS)}")
    return COMMANDS[name].act(session, rest.strip())


def _reset(session: Session, _: str) -> str:
    session.begin_anew()
    return "the conversation begins anew"


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
        raise InputError(f"{name} is {typed!r}; expected a value as in YAML: 0.5, null, [a, b]") from None
    changed = dataclasses.asdict(session.settings) | {name: value}
    session.settings = from_mapping(GenerationSettings, changed, "generation.")


def _save(session: Session, path: str) -> str:
    if not path:
        raise InputError("there is no file to save to; expected /save FILE")
    file = Path(path).expanduser()
    n = session.save(file)
    train = f"scratchgpt train --data {shlex.quote(str(file))} --corpus.format daily-dialog"
    return f"{path} has {n} conversation{'s' if n > 1 else ''}; to train on it: {train}"


def _help(_: Session, __: str) -> str:
    return "\n".join(f"{command.usage:<18} {command.help}" for command in COMMANDS.values())


def _quit(session: Session, _: str) -> str:
    session.is_over = True
    return ""


class Command(NamedTuple):
    """A command: how it is typed, what it does in words, and a function that does it."""

    usage: str
    help: str
    act: Callable[[Session, str], str]


COMMANDS = {
    "/reset": Command("/reset", "forget the conversation and begin anew", _reset),
    "/temperature": Command(
        "/temperature [X]", "how daring the replies are: 0 is greedy; without X, what it is now", _temperature
    ),
    "/set": Command("/set NAME [VALUE]", "change a setting of generation, as top_p 0.9, or show it", _set),
    "/save": Command(
        "/save FILE", "write the conversations since the start to a file of JSON lines, to train on", _save
    ),
    "/help": Command("/help", "this list", _help),
    "/quit": Command("/quit", "leave; so does the end of input (Ctrl-D)", _quit),
}
