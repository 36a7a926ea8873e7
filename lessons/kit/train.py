"""`python -m lessons train 4,5,8`: train a GPT made of your own exercises with the engine's training loop."""

import shlex
from collections.abc import Sequence

from lessons.kit.crash import ENDED
from lessons.kit.graft import in_training, line_of
from scratchgpt.backends import get_backend
from scratchgpt.cli.commands.train import run_training
from scratchgpt.cli.errors import exit_on_error
from scratchgpt.cli.options.train import parse_train_args
from scratchgpt.errors import InputError


def train(wanted: str, argv: Sequence[str]) -> int:
    """Train with the learner's functions in the backend; return the exit code.

    Exits with code 2 and a message on standard error if the options or the learner's functions are wrong.

    Args:
        wanted: lesson numbers, e.g. "4,5,8", or "all" for every exercise that is started.
        argv: options of `train.py`.
    """
    prog = f"python -m lessons train {shlex.quote(wanted)}"
    with exit_on_error(prog):
        settings = parse_train_args(argv, prog, ignore=("mine",))  # which named the lessons in older runs
        backend = get_backend(settings.backend, **settings.backend_settings)
        grafted = in_training(wanted, settings, backend)
        try:
            return run_training(settings, grafted, prog, "python sample.py")
        except ENDED as error:  # only in float32, or only in a longer run
            if located := line_of(error, wanted):
                raise InputError(located) from error
            raise
