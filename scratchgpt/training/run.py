"""What the training loop needs of a run, as protocols. `runs.folder.RunFolder` stores all of it on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from scratchgpt.corpora import Corpus
from scratchgpt.nn.model import GPT
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.training.loggers import Logger
from scratchgpt.training.settings import RunSettings
from scratchgpt.training.state import TrainingState
from scratchgpt.training.step import StepResult


class Record(Protocol):
    """The metrics of every step, evaluation and sample.

    Attributes:
        loggers: also receive every metric, e.g. TensorBoard.
    """

    loggers: Sequence[Logger]

    @property
    def seconds(self) -> float:
        """Return the training time of the steps recorded so far, in seconds."""

    def log_steps(self, last: int, steps: Sequence[StepResult], on_not_finite: str = "stop") -> float:
        """Record the steps up to number `last`; return the loss of the last finite one, in nats per token."""

    def log_evaluation(self, step: int, label: str, val_loss: float, **others: Any) -> None:
        """Record the metrics of an evaluation after a step."""

    def log_sample(self, step: int, write: Callable[[], str]) -> str:
        """Record the text that `write` generates; return it."""


class Run(Protocol):
    """A run: its metrics, checkpoints and plots.

    Attributes:
        path: the folder.
        step: optimizer steps taken up to the last checkpoint.
        summary: a few lines that describe model, text and backend.
    """

    path: Path
    step: int
    summary: str

    @property
    def record(self) -> Record:
        """The metrics so far."""

    def begin(self, settings: RunSettings, model: GPT, tokenizer: Tokenizer, corpus: Corpus) -> None:
        """Create the run."""

    def resume(self, settings: RunSettings, state: TrainingState) -> None:
        """Load the last checkpoint into `state`."""

    def save(self, state: TrainingState, step: int, val_loss: float, *, keep: int = 0) -> bool:
        """Write a checkpoint; return whether `val_loss` is the lowest so far."""

    def plot(self, vocab_size: int, val_label: str, floor: float | None) -> None:
        """Plot the curves so far."""

    def has_stalled(self, patience: int | None) -> bool:
        """Return whether the last `patience` evaluations brought no improvement."""
