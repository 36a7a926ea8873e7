"""`scratchgpt learn`: the lessons, from anywhere. Training and sampling are train.py and sample.py."""

import importlib
import sys
from collections.abc import Sequence

USAGE = "usage: scratchgpt learn [check N | watch | hint N | reveal N | reset N | hunt N | list]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] != ["learn"]:
        print(USAGE, file=sys.stdout if arguments in (["-h"], ["--help"]) else sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        stepper = importlib.import_module("lessons.kit.stepper")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("lessons"):
            raise
        print(
            "scratchgpt: the lessons are files to edit; expected a clone and pip install -e .",
            file=sys.stderr,
        )
        return 2
    return int(stepper.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
