"""What a training run shows while it runs."""

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
WIDTH = 80  # at most: a terminal that is made narrower then has no line to break, and the display stays whole
LABEL = 12  # the width of what stands in front
N_LOSSES = 50  # in the sparkline
SAMPLE_LINES = 3


class TrainingProgress:
    """A live display on a terminal, and one plain line for each evaluation anywhere.

    Use it as a context manager around the loop. It draws only when it is called, at most four times a
    second: a thread of its own would take Python's lock from those that train.

    Args:
        console: where to.
        max_steps: steps in all.
        start: steps that an earlier process has taken.
        seconds_before: how long they took.

    Attributes:
        ideal_seconds: how long the matrix products of a token take at the machine's best, once that is known.
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
            self.console.show_cursor(True)  # a process that is killed cannot bring it back
            self._live.update(self._display(), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def tokens_per_second(self) -> float:
        """Training tokens per second of this process's steps, evaluations and checkpoints not counted."""
        return self._tokens / self._training_seconds if self._training_seconds else 0.0

    @property
    def pace(self) -> dict[str, float]:
        """What an evaluation records: tokens_per_second, matrix_share, and the seconds of all steps."""
        seconds = self._seconds_before + self._training_seconds
        return {
            "tokens_per_second": self.tokens_per_second,
            "matrix_share": self.tokens_per_second * self.ideal_seconds,
            "seconds": seconds,
        }

    def step_begins(self) -> None:
        """Start the clock of one training step."""
        self._step_started = time.perf_counter()

    def step_ends(self, n_tokens: int) -> None:
        """Stop the clock."""
        self._training_seconds += time.perf_counter() - self._step_started
        self._tokens += n_tokens

    def show(self, step: int, loss: float, lr: float) -> None:
        """Show where training stands; at most four times a second."""
        self._step, self._lr = step, lr
        self._losses.append(loss)
        if self._live and time.perf_counter() - self._drawn > REFRESH_SECONDS:
            self._live.update(self._display(), refresh=True)
            self._drawn = time.perf_counter()

    def evaluated(self, step: int, train_loss: float, val_loss: float, label: str, is_best: bool) -> None:
        """Print the line of one evaluation."""
        self._step = step
        self._evaluation = f"{label} {val_loss:.4f} at step {step:,}"
        if is_best:
            self._best = f"best {val_loss:.4f} at step {step:,}"
        if self._live:
            self._live.update(self._display())  # the line moves the display, which is drawn anew with it
        self.console.print(
            f"step {step:>6}  training loss {train_loss:.4f}  {label} loss {val_loss:.4f}"
            f"  {self.tokens_per_second:,.0f} tokens/s{'  best' if is_best else ''}"
        )

    def sampled(self, text: str) -> None:
        """Keep the beginning of what the model wrote on the display."""
        beginning = Text(printable(text[: SAMPLE_LINES * WIDTH]))
        self._sample = list(beginning.wrap(self.console, max(1, self._width - LABEL))[:SAMPLE_LINES])

    @property
    def _width(self) -> int:
        return min(self.console.width, WIDTH)

    def _display(self) -> Text:
        """Return what the terminal shows."""
        pace = f"learning rate {self._lr:.1e}, {self.tokens_per_second:,.0f} tokens/s"
        rows = [("step", self._steps()), ("loss", self._loss()), ("", Text(pace))]
        if self._evaluation:
            rows.append(("evaluation", Text(", ".join(filter(None, [self._evaluation, self._best])))))
        rows += [("" if i else "sample", line) for i, line in enumerate(self._sample)]
        lines = [Text.assemble((f"{label:<{LABEL}}", "dim"), content) for label, content in rows]
        for line in lines:
            line.truncate(self._width, overflow="ellipsis")
        return Text("\n", end="").join(lines)

    def _steps(self) -> Text:
        """Return a bar between how many steps are done and how long the others will take."""
        taken, left = self._step - self._start, self._max_steps - self._step
        seconds = (time.perf_counter() - self._began) / taken * left if taken else None
        before = f"{self._step:,} of {self._max_steps:,} "
        after = "" if seconds is None else f" {timedelta(seconds=round(seconds))} left"
        n_cells = max(0, self._width - LABEL - len(before) - len(after))
        n_full = n_cells * self._step // self._max_steps
        cell = "-" if self.console.options.ascii_only else "━"
        return Text.assemble(before, (cell * n_full, "green"), (cell * (n_cells - n_full), "dim"), after)

    def _loss(self) -> Text:
        """Return the last loss after a sparkline of the ones before it."""
        levels = "_.-=+*#" if self.console.options.ascii_only else "▁▂▃▄▅▆▇█"
        last = f" {self._losses[-1]:.4f}" if self._losses else ""
        n_shown = min(len(self._losses), max(0, self._width - LABEL - len(last)))
        line = sparkline(list(self._losses)[len(self._losses) - n_shown :], levels)
        return Text.assemble((line, "cyan"), last)


def sparkline(values: Sequence[float], levels: str) -> str:
    """Return a character for each value, from the first level, the least of them, to the last."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (len(levels) - 1) / (high - low) if high > low else 0.0
    return "".join(levels[round((value - low) * scale)] for value in values)
