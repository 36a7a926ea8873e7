"""`scratchgpt chat`: talk with a model that was trained on dialogues."""

import secrets
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from scratchgpt.cli.chat.session import Session, can_chat, runs_that_chat
from scratchgpt.cli.chat.talking import talk
from scratchgpt.cli.options.generation import add_generation_arguments
from scratchgpt.cli.options.model import add_backend_arguments, add_checkpoint_argument, load_model
from scratchgpt.cli.options.sample import generation_of_run
from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError

PROG = "scratchgpt chat"


def main(argv: Sequence[str]) -> int:
    """Load a run and chat with it, on a terminal or over pipes; return the exit code."""
    parser = _parser()
    flags = parser.parse_args(list(argv), defaults=False).as_dict()
    options = parser.parse_args(list(argv))
    run = Path(options.run) if options.run else _newest(Path(options.runs))
    if not options.run:
        print(f"{PROG}: with {run}", file=sys.stderr)
    model = load_model(run, options.checkpoint, options)
    if not can_chat(model.tokenizer):
        raise InputError(
            f"{run} cannot chat: its tokenizer lacks <s>, <sep> and </s>, which mark the turns of dialogues; "
            f"{_suggestion(run.parent)}"
        )
    settings = generation_of_run(run, flags, PROG)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # bad bytes in piped input must not end the chat
    if sys.stdin.isatty():
        print("/help lists the commands, Ctrl-C stops a reply, Ctrl-D quits", file=sys.stderr)
    return talk(Session(model, settings, seed))


def _newest(folder: Path) -> Path:
    found = runs_that_chat(folder)
    if not found:
        raise InputError(f"no run in {str(folder)!r} can chat; {_suggestion(folder)}")
    return found[0]


def _suggestion(folder: Path) -> str:
    """Return which runs can chat, or how to train one."""
    if found := runs_that_chat(folder):
        return f"these can: {', '.join(map(str, found))}"
    return "use a model trained on dialogues, e.g. with `scratchgpt train --config configs/talk.yaml`"


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Chat with a model trained on dialogues.")
    parser.add_argument(
        "run",
        metavar="RUN",
        type=str | None,
        nargs="?",
        help="the folder of the run; default: the newest that can chat",
    )
    parser.add_argument("--runs", type=str, default="runs", help="the folder to look for the newest run in")
    add_checkpoint_argument(parser)
    parser.add_argument("--seed", type=int | None, help="same seed, same replies; default: random")
    add_generation_arguments(parser)
    add_backend_arguments(parser)
    return parser
