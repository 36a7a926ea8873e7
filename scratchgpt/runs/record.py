"""The metrics of a run: metrics.jsonl, with a line for each step, evaluation and sample."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Record, read_records
from scratchgpt.training.loggers import Logger
from scratchgpt.training.step import StepResult
from scratchgpt.utils.files import atomic_path

METRICS_FILE = "metrics.jsonl"


class RunRecord:
    """The metrics of every step, kept in memory until `write`, which is called with each checkpoint.

    Args:
        folder: the folder of the run.

    Attributes:
        entries: the lines of the file, in the order of the steps.
        saved_step: the step of the last checkpoint.
        skipped: number of steps skipped so far because they were not finite.
        loggers: the other places that receive each metric.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.entries: list[Record] = []
        self.saved_step = 0
        self.skipped = 0
        self.loggers: Sequence[Logger] = ()

    def read(self, saved_step: int) -> None:
        """Read the metrics on disk, up to the step of a checkpoint.

        Raises:
            InputError: if the file is missing or damaged.
        """
        self.saved_step = saved_step
        records = read_records(self._folder / METRICS_FILE)
        self.entries = [record for record in records if record["step"] <= saved_step]
        self.skipped = max((record.get("skipped", 0) for record in self.entries), default=0)

    def write(self, step: int) -> None:
        """Write all metrics, together with the checkpoint of this step; the file is replaced atomically."""
        lines = [json.dumps(entry, allow_nan=False) + "\n" for entry in self.entries]
        with atomic_path(self._folder / METRICS_FILE) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
        self.saved_step = step

    @property
    def seconds(self) -> float:
        """Training time of all steps so far, in seconds; 0 if it was not recorded."""
        return next((record["seconds"] for record in reversed(self.entries) if "seconds" in record), 0.0)

    def must_be_finite(self, step: int, numbers: dict[str, float], why: str = "") -> None:
        """Check that training has not diverged, before anything is saved.

        Args:
            step: the step that the numbers belong to.
            numbers: the numbers by name.
            why: the cause, if known.

        Raises:
            InputError: if one of the numbers is NaN or infinite.
        """
        for name, number in numbers.items():
            if not math.isfinite(number):
                cause = f"Cause: {why}. " if why else ""
                raise InputError(
                    f"the {name} of step {step} is {number}; expected a finite number. {cause}"
                    f"The files of step {self.saved_step} in {self._folder} are unchanged; a smaller "
                    "--training.learning_rate may help"
                )

    def log_steps(self, last: int, steps: Sequence[StepResult], on_not_finite: str = "stop") -> float:
        """Record the steps up to number `last`; return the loss of the last finite one, in nats per token.

        Args:
            last: the number of the last of the steps.
            steps: the steps, in order.
            on_not_finite: "stop" to raise an error at a step that is not finite; "skip" to record it as
                skipped, with the cause and the number of steps skipped so far.

        Raises:
            InputError: if a step is not finite, see `must_be_finite`; with "skip", only if no step has been
                finite yet.
        """
        for number, taken in enumerate(steps, start=last + 1 - len(steps)):
            if taken.why_not_finite is None:
                self.log(step=number, loss=taken.loss, lr=taken.lr, grad_norm=taken.grad_norm)
                continue
            why = taken.why_not_finite()
            if on_not_finite == "stop" or not any("loss" in record for record in self.entries):
                norm = 0.0 if taken.grad_norm is None else taken.grad_norm
                self.must_be_finite(number, {"loss": taken.loss, "gradient norm": norm}, why)
            self.skipped += 1
            self.log(step=number, lr=taken.lr, skipped=self.skipped, why=why)
            logging.getLogger(__name__).warning("step %d is skipped: %s", number, why)
        return float(next(record["loss"] for record in reversed(self.entries) if "loss" in record))

    def log_evaluation(self, step: int, label: str, val_loss: float, **others: Any) -> None:
        """Record an evaluation after a step: its loss in nats per token, and other metrics by name.

        Raises:
            InputError: if the loss is not finite, see `must_be_finite`.
        """
        self.must_be_finite(step, {f"{label} loss": val_loss})
        self.log(step=step, val_loss=val_loss, **others)

    def log_sample(self, step: int, write: Callable[[], str]) -> str:
        """Record and return the text that `write` generates; if it fails, log a warning and return ""."""
        try:
            text = write()
        except InputError as error:  # e.g. the settings forbid every token
            logging.getLogger(__name__).warning("no sample at step %d: %s", step, error)
            text = ""
        if text:
            self.log(step=step, sample=text)
        return text

    def log(self, **record: Any) -> None:
        """Record metrics of a step; they are on disk from the next checkpoint on."""
        self.entries.append(record)
        for logger in self.loggers:
            if "sample" in record:
                logger.text(record["step"], "sample", record["sample"])
            else:
                logger.log(record["step"], record)

    def n_evaluations_after(self, step: int) -> int:
        """Return the number of evaluations after a step."""
        return sum("val_loss" in entry and entry["step"] > step for entry in self.entries)
