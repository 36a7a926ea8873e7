"""`scratchgpt COMMAND`: what there is beside train.py and sample.py."""

import sys
from collections.abc import Sequence
from importlib import import_module

from scratchgpt.cli import errors_in_words
from scratchgpt.validation import nearest

COMMANDS = {  # a module with `main(arguments) -> exit code`, and what it does
    "learn": ("lessons.kit.stepper", "the lessons: check N, watch, hint N, reveal N, reset N, hunt N, list"),
    "runs": ("scratchgpt.runs", "the runs in a folder: how far they are, and how they differ"),
    "compare": ("scratchgpt.compare", "the curves of several runs in one picture"),
}
USAGE = "usage: scratchgpt COMMAND ...\n\n" + "\n".join(
    f"  {name:<9} {help_}" for name, (_, help_) in COMMANDS.items()
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    if name not in COMMANDS:
        wrong = (
            f"scratchgpt: error: there is no command {name!r}{nearest(name, COMMANDS)}\n\n" if name else ""
        )
        print(wrong + USAGE, file=sys.stderr)
        return 2
    try:
        module = import_module(COMMANDS[name][0])
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("lessons"):
            raise
        print(
            "scratchgpt: the lessons are files to edit; expected a clone and pip install -e .",
            file=sys.stderr,
        )
        return 2
    with errors_in_words(f"scratchgpt {name}"):
        return int(module.main(arguments))


if __name__ == "__main__":
    sys.exit(main())
