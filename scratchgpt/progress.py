"""What a training run shows while it runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function of (done, total) that moves a bar on a terminal; a total of None is not known yet.

    The bar appears with the first call, and is gone afterwards.
    """
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", total=None)

    def show(done: int, total: int | None) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()


class TrainingProgress:
    """A live bar on a terminal, and one plain line for each evaluation anywhere.

    Use it as a context manager around the loop.
    """

    def __init__(self, console: Console, max_steps: int, start: int = 0) -> None:
        self.console = console
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=max_steps, completed=start)
        self._tokens = 0
        self._training_seconds = 0.0
        self._step_started = 0.0
        self._shown = 0.0

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @property
    def tokens_per_second(self) -> float:
        """Training tokens per second of the steps so far, evaluations and checkpoints not counted."""
        return self._tokens / self._training_seconds if self._training_seconds else 0.0

    def step_begins(self) -> None:
        """Start the clock of one training step."""
        self._step_started = time.perf_counter()

    def step_ends(self, n_tokens: int) -> None:
        """Stop the clock."""
        self._training_seconds += time.perf_counter() - self._step_started
        self._tokens += n_tokens

    def show(self, step: int, loss: float, lr: float) -> None:
        """Show where training stands; at most ten times a second."""
        now = time.perf_counter()
        if now - self._shown > 0.1:
            self._shown = now
            status = f"loss {loss:.3f}  learning rate {lr:.1e}  {self.tokens_per_second:,.0f} tokens/s"
            self._bar.update(self._task, completed=step, description=status)

    def evaluated(self, step: int, train_loss: float, val_loss: float, label: str, is_best: bool) -> None:
        """Print the line of one evaluation."""
        mark = "  best" if is_best else ""
        self._bar.console.print(
            f"step {step:>6}  training loss {train_loss:.4f}  {label} loss {val_loss:.4f}"
            f"  {self.tokens_per_second:,.0f} tokens/s{mark}"
        )
