"""Progress of a training run on the terminal."""

import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from scratchgpt.utils.terminal import printable

REFRESH_SECONDS = 0.25
MAX_WIDTH = 80  # so that lines do not wrap, and garble the display, in a terminal that is made narrower
LABEL_WIDTH = 12  # of the column of labels on the left
N_LOSSES = 50  # shown in the sparkline
SAMPLE_LINES = 3


class TrainingProgress:
    """A live display on a terminal, and a plain line per evaluation everywhere.

    Use it as a context manager around the loop. It draws only when called, at most four times a second: a
    thread that draws would compete with the training threads for the GIL.

    Args:
        console: where to draw and print.
        max_steps: number of steps in the whole run.
        start: steps taken before a resumed run was stopped.
        seconds_before: training time of these steps.

    Attributes:
        ideal_seconds: seconds per token at an MFU of 1, see `mfu`; 0 if unknown.
    """

    def __init__(self, console: Console, max_steps: int, start: int = 0, seconds_before: float = 0.0) -> None:
        self.console = console
        is_live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True) if is_live else None
        self._max_steps = max_steps
        self._start = self._step = start
        self._began = self._drawn = time.perf_counter()
        self._seconds_before = seconds_before
        self.ideal_seconds = 0.0
        self._tokens = 0
        self._training_seconds = 0.0
        self._step_started = 0.0
        self._lr = 0.0
        self._losses: deque[float] = deque(maxlen=N_LOSSES)
        self._evaluation = ""
        self._best = ""
        self._sample: list[Text] = []

    def __enter__(self) -> "TrainingProgress":
        self._began = time.perf_counter()
        if self._live:
            self._live.start()
            self.console.show_cursor(True)  # hidden by Live; a killed process could not restore it
            self._live.update(self._display(), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def tokens_per_second(self) -> float:
        """Training tokens per second in this process, not counting evaluations and checkpoints."""
        return self._tokens / self._training_seconds if self._training_seconds else 0.0

    @property
    def pace(self) -> dict[str, float]:
        """The pace, for an evaluation: tokens_per_second, matrix_share (the MFU), seconds of all steps."""
        seconds = self._seconds_before + self._training_seconds
        return {
            "tokens_per_second": self.tokens_per_second,
            "matrix_share": self.tokens_per_second * self.ideal_seconds,
            "seconds": seconds,
        }

    def step_begins(self) -> None:
        """Start the clock of a training step."""
        self._step_started = time.perf_counter()

    def step_ends(self, n_tokens: int) -> None:
        """Stop the clock of a training step on `n_tokens` tokens."""
        self._training_seconds += time.perf_counter() - self._step_started
        self._tokens += n_tokens

    def show(self, step: int, loss: float, lr: float) -> None:
        """Show step, loss and learning rate, at most four times a second."""
        self._step, self._lr = step, lr
        self._losses.append(loss)
        if self._live and time.perf_counter() - self._drawn > REFRESH_SECONDS:
            self._live.update(self._display(), refresh=True)
            self._drawn = time.perf_counter()

    def show_evaluation(
        self, step: int, train_loss: float, val_loss: float, label: str, is_best: bool
    ) -> None:
        """Print the losses after an evaluation on one line."""
        self._step = step
        self._evaluation = f"{label} {val_loss:.4f} at step {step:,}"
        if is_best:
            self._best = f"best {val_loss:.4f} at step {step:,}"
        if self._live:
            self._live.update(self._display())  # printing a line redraws the display below it
        self.console.print(
            f"step {step:>6}  training loss {train_loss:.4f}  {label} loss {val_loss:.4f}"
            f"  {self.tokens_per_second:,.0f} tokens/s{'  best' if is_best else ''}"
        )

    def show_sample(self, text: str) -> None:
        """Show the beginning of a generated sample."""
        beginning = Text(printable(text[: SAMPLE_LINES * MAX_WIDTH]))
        self._sample = list(beginning.wrap(self.console, max(1, self._width - LABEL_WIDTH))[:SAMPLE_LINES])

    @property
    def _width(self) -> int:
        return min(self.console.width, MAX_WIDTH)

    def _display(self) -> Text:
        """Return the lines of the live display."""
        pace = f"learning rate {self._lr:.1e}, {self.tokens_per_second:,.0f} tokens/s"
        rows = [("step", self._steps()), ("loss", self._loss()), ("", Text(pace))]
        if self._evaluation:
            rows.append(("evaluation", Text(", ".join(filter(None, [self._evaluation, self._best])))))
        rows += [("" if i else "sample", line) for i, line in enumerate(self._sample)]
        lines = [Text.assemble((f"{label:<{LABEL_WIDTH}}", "dim"), content) for label, content in rows]
        for line in lines:
            line.truncate(self._width, overflow="ellipsis")
        return Text("\n", end="").join(lines)

    def _steps(self) -> Text:
        """Return a progress bar between the number of steps taken and the time left."""
        taken, left = self._step - self._start, self._max_steps - self._step
        seconds = (time.perf_counter() - self._began) / taken * left if taken else None
        before = f"{self._step:,} of {self._max_steps:,} "
        after = "" if seconds is None else f" {timedelta(seconds=round(seconds))} left"
        n_cells = max(0, self._width - LABEL_WIDTH - len(before) - len(after))
        n_full = n_cells * self._step // self._max_steps
        cell = "-" if self.console.options.ascii_only else "━"
        return Text.assemble(before, (cell * n_full, "green"), (cell * (n_cells - n_full), "dim"), after)

    def _loss(self) -> Text:
        """Return a sparkline of the last losses, and the last one as a number."""
        levels = "_.-=+*#" if self.console.options.ascii_only else "▁▂▃▄▅▆▇█"
        last = f" {self._losses[-1]:.4f}" if self._losses else ""
        n_shown = min(len(self._losses), max(0, self._width - LABEL_WIDTH - len(last)))
        line = sparkline(list(self._losses)[len(self._losses) - n_shown :], levels)
        return Text.assemble((line, "cyan"), last)


def sparkline(values: Sequence[float], levels: str) -> str:
    """Return one character per value: the first of `levels` for the lowest, the last for the highest."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (len(levels) - 1) / (high - low) if high > low else 0.0
    return "".join(levels[round((value - low) * scale)] for value in values)
