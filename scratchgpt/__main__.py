"""`scratchgpt COMMAND`, also `python -m scratchgpt COMMAND`: the entry point of all commands."""

import sys
from collections.abc import Sequence
from importlib import import_module

from scratchgpt.cli.errors import exit_on_error
from scratchgpt.utils.validation import nearest

COMMANDS = {  # name: (module with PROG and main(argv), what the command does)
    "train": ("scratchgpt.cli.commands.train", "Train a GPT on a text and generate a sample."),
    "sample": ("scratchgpt.cli.commands.sample", "Generate text with a trained model."),
    "chat": ("scratchgpt.cli.commands.chat", "Chat with a model trained on dialogues."),
    "evaluate": (
        "scratchgpt.cli.commands.evaluate",
        "Measure the loss on a text and the quality of replies in dialogues.",
    ),
    "runs": ("scratchgpt.cli.commands.runs", "List the runs in a folder and how their settings differ."),
    "compare": (
        "scratchgpt.cli.commands.compare",
        "Plot the curves of several runs and compare their settings.",
    ),
    "inspect": ("scratchgpt.cli.commands.inspect", "Look inside a model while it reads a text."),
    "tokenizer": ("scratchgpt.cli.commands.tokenizer", "Train a tokenizer, encode, decode or show tokens."),
    "import": ("scratchgpt.cli.commands.import_", "Import a model from Hugging Face (hf) or nanoGPT."),
    "export": ("scratchgpt.cli.commands.export", "Export a model to transformers (hf) or llama.cpp (gguf)."),
    "gradcheck": ("scratchgpt.cli.commands.gradcheck", "Check every gradient against finite differences."),
}
USAGE = "usage: scratchgpt COMMAND [arguments]\n\ncommands:\n" + "\n".join(
    f"  {name:<9}  {summary.removesuffix('.')}" for name, (_, summary) in COMMANDS.items()
)
HINT = "\n\nscratchgpt COMMAND --help explains the arguments of a command."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        argv: the command's name and its arguments; None takes them from the process's own command line.
    """
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    if name in ("-h", "--help"):
        print(USAGE + HINT)
        return 0
    if name not in COMMANDS:
        if name:
            print(
                f"scratchgpt: error: there is no command {name!r}{nearest(name, COMMANDS)}", file=sys.stderr
            )
        else:
            print(USAGE + HINT, file=sys.stderr)
        return 2
    module, _ = COMMANDS[name]
    with exit_on_error(f"scratchgpt {name}"):
        return int(import_module(module).main(arguments))


if __name__ == "__main__":
    sys.exit(main())
