"""The folder of a run: everything that training writes.

config.json             the model's configuration    best.safetensors   weights of lowest validation loss
tokenizer.json          the tokenizer                last.safetensors   weights and the optimizer's moments
generation_config.json  where texts begin and end    metrics.jsonl      one line per step and per evaluation
run.yaml                the resolved settings        sample.txt         the sample generated at the end
loss.png, report.html   the plots                    train.lock         which process is training, if any
step-000300.safetensors, ...                         the newest training states, if they are kept

A save writes its files in this order: settings, best weights, metrics, kept state, and finally
`last.safetensors`, which only refers to what is already there. So a run that was killed at any moment resumes
with exactly the curve of one that was not. To go back to an older state, copy it over `last.safetensors`: the
metrics of later steps are then dropped, and recorded again.
"""

import dataclasses
import json
import logging
import math
from pathlib import Path
from types import TracebackType
from typing import Any

from scratchgpt import tokenizers
from scratchgpt.checkpoint import load_training_state, save_training_state, save_weights
from scratchgpt.config import GPTConfig
from scratchgpt.corpora import Corpus
from scratchgpt.errors import InputError
from scratchgpt.nn.model import GPT
from scratchgpt.runs.lock import RunLock
from scratchgpt.runs.plot import plot_loss
from scratchgpt.runs.record import RunRecord
from scratchgpt.runs.report import write_report
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.training.settings import RunSettings
from scratchgpt.training.state import TrainingState
from scratchgpt.utils.files import atomic_path, load_json, load_yaml, make_folder, remove_temporaries

KEPT_STATES = "step-[0-9]*[0-9].safetensors"


class RunFolder:
    """A run on disk. Nothing is written before `begin` or `resume`, which also lock the folder.

    Use it as a context manager around training; leaving it releases the lock.

    Attributes:
        path: the folder.
        step: optimizer steps taken up to the last checkpoint.
        best_loss: the lowest validation loss so far, in nats per token.
        best_step: the step at which it was reached.
        record: the metrics of every step.
        summary: a few lines on what is trained, for the report.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.step = 0
        self.best_loss = math.inf
        self.best_step = 0
        self.record = RunRecord(self.path)
        self.summary = ""
        self._lock: RunLock | None = None
        # A resumed run saves its new settings with its next checkpoint, since it may diverge before that.
        self._on_next_save: tuple[RunSettings, GPTConfig] | None = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock:
            self._lock.release()

    def begin(self, settings: RunSettings, model: GPT, tokenizer: Tokenizer, corpus: Corpus) -> None:
        """Create the folder and write settings, model configuration and tokenizer to it.

        An earlier run is never overwritten: if the folder holds one, the next free name is used (runs/x-2,
        runs/x-3, ...), with a warning.

        Raises:
            InputError: if the folder cannot be written to, or holds files but no run.
        """
        asked, number = self.path if self.path.name else self.path.absolute(), 2
        while not self._claim():
            self.path = asked.with_name(f"{asked.name}-{number}")
            number += 1
        if number > 2:
            logging.getLogger(__name__).warning("%s already holds a run; writing to %s", asked, self.path)
        self.record = RunRecord(self.path)
        self._acquire()
        tokenizers.save(tokenizer, self.path)
        ids = corpus.generation_config(tokenizer.special_ids)
        self._write("generation_config.json", json.dumps(ids, indent=2))
        self._write_settings(settings)
        self._write_config(model.config)

    def resume(self, settings: RunSettings, state: TrainingState) -> None:
        """Load the last checkpoint into `state`, and the metrics up to its step.

        The settings may differ from those that the run began with, apart from the model's configuration; they
        are saved with the next checkpoint. Another text is allowed, with a warning.

        Raises:
            InputError: if the checkpoint is missing, corrupted, of a model with another configuration or at
                the end of the budget, or another process is training in this folder.
        """
        make_folder(self.path)
        self._acquire()
        remove_temporaries(self.path)
        self._check_shape(state.model.config)
        checkpoint = self.path / "last.safetensors"
        metadata = load_training_state(checkpoint, state.model, state.optimizer, state.ema)
        try:
            self.step = int(metadata["step"])
            self.best_step = int(metadata["best_step"])
            self.best_loss = float(metadata["best_loss"])
            state.batches.position = int(metadata.get("position", 0))
            began_with = metadata.get("text_key", state.text_key)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{checkpoint} lacks a valid step, best step or best validation loss ({error!r}); expected a "
                "checkpoint of a training run"
            ) from None
        if self.step >= settings.training.max_steps:
            raise InputError(
                f"{self.path} is already at step {self.step} of {settings.training.max_steps}; to continue, "
                "pass a larger --training.max_steps"
            )
        if began_with != state.text_key:
            self.best_loss = math.inf  # losses on different texts are not comparable
            logging.getLogger(__name__).warning(
                "the text is not the one that %s was trained on; training continues on the new one", self.path
            )
        self.record.read(self.step)
        self._on_next_save = (settings, state.model.config)

    def save(self, state: TrainingState, step: int, val_loss: float, *, keep: int = 0) -> bool:
        """Write the last checkpoint, the metrics and, if this loss is the lowest so far, the best weights.

        Args:
            state: what to save.
            step: steps taken.
            val_loss: the validation loss after this step, in nats per token.
            keep: number of training states to keep as step-*.safetensors, this one included.

        Returns:
            Whether this loss is the lowest so far.
        """
        if self._on_next_save:
            self._write_settings(self._on_next_save[0])
            self._write_config(self._on_next_save[1])
            self._on_next_save = None
        self.step = step
        is_best = val_loss < self.best_loss
        if is_best:
            self.best_loss, self.best_step = val_loss, step
            save_weights(
                self.path / "best.safetensors",
                state.weights().map(state.optimizer.backend.to_host),
                {"step": step, "val_loss": val_loss},
            )
        self.record.write(step)
        facts = {
            "step": step,
            "val_loss": val_loss,
            "best_step": self.best_step,
            "best_loss": self.best_loss,
            "position": state.batches.position,
            "text_key": state.text_key,
        }
        # Written twice instead of linked, so that damage to one file spares the other.
        for name in [f"step-{step:06d}", "last"] if keep else ["last"]:
            save_training_state(self.path / f"{name}.safetensors", state.optimizer, facts, state.ema)
        if keep:
            self._remove_older_states(keep)
        return is_best

    def has_stalled(self, patience: int | None) -> bool:
        """Return whether the last `patience` evaluations were all worse than the best; None: never."""
        return patience is not None and self.record.n_evaluations_after(self.best_step) >= patience

    def plot(self, vocab_size: int, val_label: str, floor: float | None) -> None:
        """Draw loss.png and report.html from the metrics so far; arguments as for `write_report`."""
        entries = self.record.entries
        train = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
        val = [(entry["step"], entry["val_loss"]) for entry in entries if "val_loss" in entry]
        if train and val:
            plot_loss(self.path / "loss.png", train, val, vocab_size, val_label, floor)
        write_report(self.path, entries, self.summary, val_label, floor)

    def write_sample(self, text: str) -> str:
        """Write a generated text to sample.txt, and return it."""
        self._write("sample.txt", text)
        return text

    def _acquire(self) -> None:
        self._lock = RunLock(self.path)
        self._lock.acquire()

    def _remove_older_states(self, keep: int) -> None:
        """Remove all but the newest `keep` states up to this step; later ones stay after going back."""
        states = [(int(path.stem.removeprefix("step-")), path) for path in self.path.glob(KEPT_STATES)]
        for _, path in sorted(each for each in states if each[0] <= self.step)[:-keep]:
            path.unlink()

    def _claim(self) -> bool:
        """Create config.json; return False if the folder is a run. Of two processes, only one succeeds."""
        make_folder(self.path)
        config = self.path / "config.json"
        names = {path.name for path in self.path.iterdir()}  # listed once, as another process may be writing
        if names and config.name not in names:
            raise InputError(f"{self.path} holds files but no run; choose another --out")
        try:
            config.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _check_shape(self, config: GPTConfig) -> None:
        """Check that the model has the configuration that the run began with; dropout may change."""
        began = GPTConfig.from_dict(load_json(self.path / "config.json"))
        for name, value in dataclasses.asdict(began).items():
            asked = getattr(config, name)
            if asked != value and name not in ("dropout", "init_std"):
                raise InputError(f"model.{name} is {asked!r}; expected {value!r}, the value of {self.path}")

    def _write_config(self, config: GPTConfig) -> None:
        self._write("config.json", json.dumps(dataclasses.asdict(config), indent=2))

    def _write_settings(self, settings: RunSettings) -> None:
        self._write("run.yaml", dataclasses.replace(settings, out=str(self.path)).as_yaml())

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def newest_run(folder: str | Path) -> Path | None:
    """Return the run in `folder` with the most recent checkpoint, or None if there is no run."""
    checkpoints = sorted(Path(folder).glob("*/last.safetensors"), key=lambda path: path.stat().st_mtime)
    return checkpoints[-1].parent if checkpoints else None


def saved_generation(run: str | Path) -> dict[str, Any]:
    """Return the generation settings of a run; empty if it has no run.yaml.

    Raises:
        InputError: if run.yaml is damaged.
    """
    path = Path(run) / "run.yaml"
    if not path.exists():
        return {}
    generation = load_yaml(path).get("generation")
    if not isinstance(generation, dict):
        raise InputError(f"{path} has no section 'generation'; expected the settings of a run")
    return generation
