"""`python -m lessons train 4,5,8`: train a GPT made of your own exercises, by the engine's loop."""

from collections.abc import Sequence

from lessons.kit.graft import in_training
from scratchgpt.backends import get_backend
from scratchgpt.cli.commands.train import run_training
from scratchgpt.cli.errors import exit_on_error
from scratchgpt.cli.options.train import parse_train_args


def train(wanted: str, argv: Sequence[str]) -> int:
    """Put the exercises into a backend and train; return the exit code.

    Args:
        wanted: numbers of lessons, such as "4,5,8", or "all" for all that are written.
        argv: any options of `train.py`.
    """
    prog = f"python -m lessons train {wanted}"
    with exit_on_error(prog):
        settings = parse_train_args(argv, prog)
        backend = get_backend(settings.backend, **settings.backend_settings)
        return run_training(settings, in_training(wanted, settings, backend), prog, "python sample.py")
