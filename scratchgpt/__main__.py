"""`scratchgpt COMMAND`: everything that can be run."""

import sys
from collections.abc import Sequence
from importlib import import_module

from scratchgpt import shipped
from scratchgpt.cli import errors_in_words
from scratchgpt.validation import nearest

COMMANDS = {  # a program that comes along, or a module with `main(arguments) -> exit code`; what it does
    "train": ("train.py", "train a GPT on a text and let it write"),
    "sample": ("sample.py", "let a trained run write"),
    "chat": ("scratchgpt.chat.__main__", "a conversation with a run that was trained on dialogues"),
    "learn": ("lessons.kit.stepper", "the lessons: check N, watch, hint N, reveal N, reset N, hunt N, list"),
    "runs": ("scratchgpt.commands.runs", "the runs in a folder: how far they are, and how they differ"),
    "inspect": ("scratchgpt.inspection.__main__", "a look inside a trained model while it reads a text"),
    "evaluate": ("scratchgpt.commands.evaluate", "how well a run predicts a text, and replies in dialogues"),
    "compare": ("scratchgpt.commands.compare", "the curves of several runs in one picture"),
    "export": ("scratchgpt.commands.exporting", "a model for transformers (hf) or llama.cpp (gguf)"),
    "import": (
        "scratchgpt.commands.importing",
        "a model of Hugging Face's format (hf) or nanoGPT's (nanogpt) as a run",
    ),
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
    typed, (what, _) = f"scratchgpt {name}", COMMANDS[name]
    try:
        with errors_in_words(typed):
            if what in shipped.PROGRAMS:
                shipped.run(what, typed, arguments)
                return 0
            return int(import_module(what).main(arguments))
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("lessons"):
            raise
        print(
            "scratchgpt: the lessons are files to edit; expected a clone and pip install -e .",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
