"""`scratchgpt COMMAND`: everything that can be run. `python -m scratchgpt` is the same."""

import sys
from collections.abc import Sequence
from importlib import import_module

from scratchgpt.cli.errors import errors_in_words
from scratchgpt.utils.validation import nearest

COMMANDS = {  # name: (module with `main(arguments) -> exit code`, what it does)
    "train": ("scratchgpt.cli.commands.train", "train a GPT on a text and let it write"),
    "sample": ("scratchgpt.cli.commands.sample", "generate text with a trained model"),
    "chat": ("scratchgpt.cli.commands.chat", "talk with a model that was trained on dialogues"),
    "runs": ("scratchgpt.cli.commands.runs", "list the runs in a folder and how their settings differ"),
    "compare": ("scratchgpt.cli.commands.compare", "draw the curves of several runs in one picture"),
    "evaluate": ("scratchgpt.cli.commands.evaluate", "measure how well a model predicts a text and replies"),
    "inspect": ("scratchgpt.cli.commands.inspect", "look inside a model while it reads a text"),
    "export": ("scratchgpt.cli.commands.export", "write a model for transformers (hf) or llama.cpp (gguf)"),
    "import": ("scratchgpt.cli.commands.import_", "turn a model of Hugging Face (hf) or nanoGPT into a run"),
    "tokenizer": ("scratchgpt.cli.commands.tokenizer", "train tokenizers, encode, decode, show the tokens"),
    "gradcheck": ("scratchgpt.cli.commands.gradcheck", "check every gradient against finite differences"),
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
        wrong = f"scratchgpt: error: there is no command {name!r}{nearest(name, COMMANDS)}\n\n"
        print((wrong if name else "") + USAGE, file=sys.stderr)
        return 2
    module, _ = COMMANDS[name]
    with errors_in_words(f"scratchgpt {name}"):
        return int(import_module(module).main(arguments))


if __name__ == "__main__":
    sys.exit(main())
