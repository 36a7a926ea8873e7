"""The parser of every command: jsonargparse's, with our help texts and with errors of one line."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionSubCommands, ArgumentParser, Namespace

from scratchgpt.cli.argument_errors import wrong_argument, wrong_setting
from scratchgpt.cli.help_formatter import HelpFormatter
from scratchgpt.errors import InputError


class Parser(ArgumentParser):
    """jsonargparse's parser, which raises InputError for bad input.

    The message names the option, its value and what is expected, or suggests the nearest option; for settings
    in a file it begins with the name of the file.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "formatter_class": HelpFormatter, **kwargs})
        self._find_problem: Callable[[], str | None] = lambda: None
        self._source = ""
        self._commands: ActionSubCommands | None = None

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str], namespace: Namespace | None = None, **kwargs: Any
    ) -> Namespace:
        """Parse a command line, see `jsonargparse.ArgumentParser.parse_args`.

        Raises:
            InputError: if an option is unknown, a value is invalid, or something is missing.
        """
        self._find_problem = partial(wrong_argument, self, list(args))
        return super().parse_args(list(args), namespace, **kwargs)

    def parse_settings(self, settings: Mapping[str, Any], defaults: Namespace, file: Path) -> Namespace:
        """Parse the settings of a YAML file; where it has none, the defaults stay.

        Raises:
            InputError: if an option is unknown or a value is invalid; the message begins with the file.
        """
        self._find_problem = partial(wrong_setting, self, settings)
        self._source = f"{file}: "
        try:
            return self.parse_object(dict(settings), defaults)
        finally:
            self._source = ""

    def add_class_arguments(self, theclass: type, nested_key: str | None = None, **kwargs: Any) -> list[str]:
        """Add an option for every field of a dataclass, and one for the whole section."""
        added = super().add_class_arguments(theclass, nested_key, **kwargs)
        for action in self._actions:
            if action.dest == nested_key:
                action.help = "several of these options: a YAML file, or a mapping such as '{option: value}'"
        return added

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise InputError; jsonargparse's message is only used if we find nothing wrong ourselves."""
        problem = self._find_problem() or " ".join(message.split())
        raise InputError(f"{self._source}{problem}") from None

    def add_command(self, name: str, description: str) -> "Parser":
        """Add a subcommand and return its parser."""
        if self._commands is None:
            explained = f"{self.prog} COMMAND --help explains each."
            self._commands = self.add_subcommands(title="commands", description=explained, metavar="COMMAND")
        command = Parser(description=description)
        self._commands.add_subcommand(name, command, help=description.removesuffix("."))
        command.prog = f"{self.prog} {name}"
        return command
