"""How `--help` looks: jsonargparse's layout, without what a user does not need."""

from argparse import SUPPRESS, Action
from collections.abc import Iterable
from typing import Any

import yaml
from jsonargparse import DefaultHelpFormatter

MAX_OPTIONS_IN_USAGE = 6


class HelpFormatter(DefaultHelpFormatter):
    """Formats options as "help (default: value)", without Python's type names and without empty defaults."""

    def _get_help_string(self, action: Action) -> str:
        help_ = (action.help or "").removesuffix(".")
        if action.required and action.option_strings:
            return f"{help_} (required)"
        if action.default in (None, SUPPRESS, [], {}) or action.nargs == 0 or "default" in help_:
            return help_
        return f"{help_} (default: {yaml.safe_dump(action.default, default_flow_style=True).split()[0]})"

    def add_usage(self, usage: str | None, actions: Iterable[Action], *args: Any, **kwargs: Any) -> None:
        """Add the usage line, with "[options]" in place of many options that are not required."""
        actions = list(actions)
        options = [action for action in actions if action.option_strings]
        if usage is None and len(options) > MAX_OPTIONS_IN_USAGE:
            actions = [action for action in actions if action.required or not action.option_strings]
            usage = " ".join(["%(prog)s", *map(_in_usage, actions), "[options]"])
        super().add_usage(usage, actions, *args, **kwargs)


def _in_usage(action: Action) -> str:
    name = str(action.metavar or action.dest)
    if action.option_strings:
        return f"{action.option_strings[0]} {name.upper()}"
    forms = {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}
    return forms.get(str(action.nargs), name)
