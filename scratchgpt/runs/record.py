"""The record of a run: metrics.jsonl, a line for each step, evaluation and sample."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Record, read_records
from scratchgpt.training.loggers import Logger
from scratchgpt.training.step import Taken
from scratchgpt.utils.files import atomic_path

NAME = "metrics.jsonl"


class RunRecord:
    """What is known of every step; in memory until `write`, which belongs to a checkpoint.

    Args:
        folder: of the run.

    Attributes:
        entries: the lines, in the order of the steps.
        saved_step: the step of the last checkpoint.
        skipped: steps so far that changed nothing because they were not finite.
        loggers: who else hears what is recorded.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.entries: list[Record] = []
        self.saved_step = 0
        self.skipped = 0
        self.loggers: Sequence[Logger] = ()

    def read(self, saved_step: int) -> None:
        """Take up the record on disk, up to the step of a checkpoint.

        Raises:
            InputError: missing or damaged.
        """
        self.saved_step = saved_step
        records = read_records(self._folder / NAME)
        self.entries = [record for record in records if record["step"] <= saved_step]
        self.skipped = max((record.get("skipped", 0) for record in self.entries), default=0)

    def write(self, step: int) -> None:
        """Write the whole record beside the checkpoint of this step; the file appears whole or not at all."""
        lines = [json.dumps(entry, allow_nan=False) + "\n" for entry in self.entries]
        with atomic_path(self._folder / NAME) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
        self.saved_step = step

    @property
    def seconds(self) -> float:
        """How long all steps so far have taken, if that was recorded."""
        return next((record["seconds"] for record in reversed(self.entries) if "seconds" in record), 0.0)

    def must_be_finite(self, step: int, numbers: dict[str, float], why: str = "") -> None:
        """Stop before anything is saved if training has exploded.

        Args:
            step: which one the numbers are of.
            numbers: by their names.
            why: where they come from, if that is known.

        Raises:
            InputError: one of the named numbers is NaN or infinite.
        """
        for name, number in numbers.items():
            if not math.isfinite(number):
                because = f"In it {why}. " if why else ""
                raise InputError(
                    f"the {name} of step {step} is {number}; expected a finite number. {because}"
                    f"What {self._folder} held of step {self.saved_step} is untouched; a smaller "
                    "--training.learning_rate may help"
                )

    def log_steps(self, last: int, steps: Sequence[Taken], on_not_finite: str = "stop") -> float:
        """Keep a record of the steps up to `last`; return the loss of the last one that has one.

        Args:
            last: the number of the last of the steps.
            steps: what they were.
            on_not_finite: "stop", or "skip" to record a step that is not finite, and which changed nothing,
                as skipped, with the number of all skipped ones so far and the reason.

        Raises:
            InputError: training has exploded, see `must_be_finite`; with "skip", before any step was finite.
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
            logging.getLogger(__name__).warning("step %d is skipped: in it %s", number, why)
        return float(next(record["loss"] for record in reversed(self.entries) if "loss" in record))

    def log_evaluation(self, step: int, label: str, val_loss: float, **others: Any) -> None:
        """Keep a record of an evaluation.

        Raises:
            InputError: the loss is not finite, see `must_be_finite`.
        """
        self.must_be_finite(step, {f"{label} loss": val_loss})
        self.log(step=step, val_loss=val_loss, **others)

    def log_sample(self, step: int, write: Callable[[], str]) -> str:
        """Let the model write, keep what it wrote and return it; if it cannot, training goes on."""
        try:
            text = write()
        except InputError as error:  # as when a rule has forbidden every token
            logging.getLogger(__name__).warning("no sample at step %d: %s", step, error)
            text = ""
        if text:
            self.log(step=step, sample=text)
        return text

    def log(self, **record: Any) -> None:
        """Keep a record of a step; it is on disk from the next checkpoint on."""
        self.entries.append(record)
        for logger in self.loggers:
            if "sample" in record:
                logger.text(record["step"], "sample", record["sample"])
            else:
                logger.log(record["step"], record)

    def n_evaluations_after(self, step: int) -> int:
        """Return how many evaluations came after a step."""
        return sum("val_loss" in entry and entry["step"] > step for entry in self.entries)
