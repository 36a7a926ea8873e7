"""`scratchgpt train`, also `python train.py`: train a GPT on a text and generate a sample."""

import dataclasses
import shlex
import time
from collections.abc import Sequence

from rich.console import Console

from scratchgpt.backends import Backend, get_backend
from scratchgpt.cli.options.train import parse_train_args
from scratchgpt.corpora import open_corpus
from scratchgpt.language_model.loading import load
from scratchgpt.runs.folder import RunFolder, saved_generation
from scratchgpt.training.loop import train
from scratchgpt.training.settings import RunSettings

PROG = "scratchgpt train"


def main(argv: Sequence[str], prog: str = PROG) -> int:
    """Train, and print where the run is and a sample of its text; return the exit code.

    Args:
        argv: the command line, without the program's name.
        prog: the program's name as the user typed it: "scratchgpt train" or "train.py".

    Raises:
        InputError: if the settings, the text or a checkpoint cannot be used, or a loss is not finite.
    """
    settings = parse_train_args(argv, prog)
    backend = get_backend(settings.backend, **settings.backend_settings)
    typed = f"python {prog}" if prog.endswith(".py") else prog
    return run_training(settings, backend, typed, typed.replace("train", "sample"))


def run_training(settings: RunSettings, backend: Backend, train_command: str, sample_command: str) -> int:
    """Train in a run folder, generate a sample and print the results; return the exit code.

    Args:
        settings: everything the user can set.
        backend: where to compute.
        train_command: the command that resumes this run when `--resume FOLDER` is added.
        sample_command: the command that generates more text when the folder is added.

    Raises:
        InputError: see `main`.
    """
    started = time.perf_counter()
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    corpus = open_corpus(settings.data, **dataclasses.asdict(settings.corpus))
    run = RunFolder(settings.out or f"runs/{corpus.name}")
    with run:  # holds the lock on the folder
        exit_code = train(settings, corpus, run, backend, console)
    folder = shlex.quote(str(run.path))
    if exit_code:
        console.print(
            f"Stopped and saved at step {run.step}. Continue with: {train_command} --resume {folder}"
        )
        return exit_code

    how = saved_generation(run.path)
    generated = load(run.path, backend=backend).generate(**how, seed=settings.training.seed)
    sample = run.write_sample((how["prompt"] or "") + generated)
    console.rule("sample")
    console.print(sample)
    console.rule()
    console.print(
        f"best {settings.training.val_label} loss {run.best_loss:.4f} nats per token at step {run.best_step} "
        f"of {run.step}, "
        f"{time.perf_counter() - started:.0f} s in total\n"
        f"{backend.memory()}"
        f"run folder: {run.path}\n"
        f"plots: {run.path / 'loss.png'}, {run.path / 'report.html'}\n"
        f"more text: {sample_command} {folder}"
    )
    return 0
