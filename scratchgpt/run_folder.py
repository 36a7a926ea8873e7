"""The folder of a run: everything that a training run leaves behind.

config.json             the model's shape            best.safetensors   weights of the least validation loss
tokenizer.json          text to ids and back         last.safetensors   weights and the optimizer's moments
generation_config.json  where texts begin and end    metrics.jsonl      one line per step and per evaluation
run.yaml                the resolved settings        sample.txt         what the model wrote at the end
loss.png, report.html   the pictures                 train.lock         while a process trains: which one
step-000300.safetensors, ...                         the newest training states, if they are kept

The files of a save are written in this order: settings, best weights, record, kept state, and at last
`last.safetensors`, which refers only to what is there. So whenever a process is killed, the run goes on to
the very curve of one that was not. To go back to an older state, copy it over `last.safetensors`: what the
record says of later steps is then left out, and written anew.
"""

import dataclasses
import json
import logging
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from scratchgpt import tokenizers
from scratchgpt.checkpoint import load_training_state, save_training_state, save_weights
from scratchgpt.config import GPTConfig
from scratchgpt.corpora import Corpus
from scratchgpt.errors import InputError
from scratchgpt.files import atomic_path, load_json, load_yaml, make_folder, read_text, remove_temporaries
from scratchgpt.loggers import Logger
from scratchgpt.model import GPT
from scratchgpt.optim import EMA, Optimizer
from scratchgpt.plot import plot_loss
from scratchgpt.run_lock import RunLock
from scratchgpt.run_report import write_report
from scratchgpt.settings import RunSettings
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.training_step import Taken

STATES = "step-[0-9]*[0-9].safetensors"


class RunFolder:
    """A run on disk. Nothing is written before `begin` or `resume`, which also lock the folder.

    Use it as a context manager around training: at the end the lock is let go.

    Attributes:
        path: the folder.
        step: optimizer steps that the last checkpoint has taken.
        best_loss: the least validation loss so far, in nats per token.
        best_step: when it was reached.
        position: rows of the text that training has seen, as `data.EpochBatches` counts them.
        skipped: steps so far that changed nothing because they were not finite.
        about: what is trained, in a few lines, for the report.
        loggers: who else hears what is recorded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.step = 0
        self.best_loss = math.inf
        self.best_step = 0
        self.position = 0
        self.skipped = 0
        self.about = ""
        self.loggers: Sequence[Logger] = ()
        self._lock: RunLock | None = None
        self._records: list[dict[str, Any]] = []
        # What a resumed run was given is kept only once it has trained: it may be what makes it explode.
        self._on_next_save: tuple[RunSettings, GPTConfig] | None = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock:
            self._lock.release()

    def begin(self, settings: RunSettings, model: GPT, tokenizer: Tokenizer, corpus: Corpus) -> None:
        """Create the folder and describe the run in it.

        An earlier run is never written over: if the folder holds one, the next free name
        (runs/x-2, runs/x-3, ...) is taken.

        Raises:
            InputError: the folder cannot be written to, or holds something else than a run.
        """
        base, number = self.path if self.path.name else self.path.absolute(), 2
        while not self._claim():
            self.path = base.with_name(f"{base.name}-{number}")
            number += 1
        self._acquire()
        tokenizers.save(tokenizer, self.path)
        ids = corpus.generation_config(tokenizer.special_ids)
        self._write("generation_config.json", json.dumps(ids, indent=2))
        self._write_settings(settings)
        self._write_config(model.config)

    def resume(
        self, settings: RunSettings, model: GPT, optimizer: Optimizer, ema: EMA | None, text_key: str
    ) -> None:
        """Load the last checkpoint into the optimizer and the mean of weights, and the record up to there.

        The settings may differ from those that the run began with (but for the model's shape);
        the new ones are kept with the next checkpoint. Another text is allowed, and said.

        Raises:
            InputError: the checkpoint is missing, corrupted or of another shape of model, or another
                process trains in this folder.
        """
        make_folder(self.path)
        self._acquire()
        remove_temporaries(self.path)
        self._check_shape(model.config)
        checkpoint = self.path / "last.safetensors"
        metadata = load_training_state(checkpoint, model, optimizer, ema)
        try:
            self.step = int(metadata["step"])
            self.best_step = int(metadata["best_step"])
            self.best_loss = float(metadata["best_loss"])
            self.position = int(metadata.get("position", 0))
            began_with = metadata.get("text_key", text_key)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{checkpoint} does not say how far it is: {error!r}; expected a step") from None
        if self.step >= settings.training.max_steps:
            raise InputError(
                f"{self.path} is at step {self.step} already; "
                f"expected a larger --training.max_steps (now {settings.training.max_steps})"
            )
        if began_with != text_key:
            self.best_loss = math.inf  # of another text
            logging.getLogger(__name__).warning(
                "the text is not the one that %s was trained on; training goes on with the new one", self.path
            )
        self._records = self._read_records()
        self.skipped = max((record.get("skipped", 0) for record in self._records), default=0)
        self._on_next_save = (settings, model.config)

    @property
    def seconds(self) -> float:
        """How long all steps so far have taken, if that was recorded."""
        return next((record["seconds"] for record in reversed(self._records) if "seconds" in record), 0.0)

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
                    f"What {self.path} held of step {self.step} is untouched; a smaller "
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
            if on_not_finite == "stop" or not any("loss" in record for record in self._records):
                norm = 0.0 if taken.grad_norm is None else taken.grad_norm
                self.must_be_finite(number, {"loss": taken.loss, "gradient norm": norm}, why)
            self.skipped += 1
            self.log(step=number, lr=taken.lr, skipped=self.skipped, why=why)
            logging.getLogger(__name__).warning("step %d is skipped: in it %s", number, why)
        return float(next(record["loss"] for record in reversed(self._records) if "loss" in record))

    def log_evaluation(self, step: int, val_loss: float, val_label: str, **others: float) -> None:
        """Keep a record of an evaluation.

        Raises:
            InputError: the loss is not finite, see `must_be_finite`.
        """
        self.must_be_finite(step, {f"{val_label} loss": val_loss})
        self.log(step=step, val_loss=val_loss, **others)

    def log_sample(self, step: int, text: str) -> str:
        """Keep what the model wrote, if anything, and return it."""
        if text:
            self.log(step=step, sample=text)
        return text

    def log(self, **record: Any) -> None:
        """Keep a record of a step; it is on disk from the next checkpoint on."""
        self._records.append(record)
        for logger in self.loggers:
            if "sample" in record:
                logger.text(record["step"], "sample", record["sample"])
            else:
                logger.log(record["step"], record)

    def save(
        self,
        optimizer: Optimizer,
        ema: EMA | None,
        step: int,
        val_loss: float,
        position: int,
        text_key: str,
        *,
        keep: int = 0,
    ) -> bool:
        """Write the last checkpoint, the record and, if this loss is the least, the best one.

        Args:
            optimizer: weights and moments.
            ema: the mean of the weights, which is then what is evaluated, or None.
            step: steps taken.
            val_loss: the loss of the evaluation.
            position: see the attributes.
            text_key: what text and tokenizer are called in the cache.
            keep: how many training states to keep besides the last one, this one included.

        Returns:
            Whether it was the least.
        """
        if self._on_next_save:
            self._write_settings(self._on_next_save[0])
            self._write_config(self._on_next_save[1])
            self._on_next_save = None
        self.step, self.position = step, position
        is_best = val_loss < self.best_loss
        if is_best:
            self.best_loss, self.best_step = val_loss, step
            save_weights(
                self.path / "best.safetensors",
                (ema.weights() if ema else optimizer.params).map(optimizer.backend.to_host),
                {"step": step, "val_loss": val_loss},
            )
        self._write(
            "metrics.jsonl", "".join(json.dumps(record, allow_nan=False) + "\n" for record in self._records)
        )
        facts = {
            "step": step,
            "val_loss": val_loss,
            "best_step": self.best_step,
            "best_loss": self.best_loss,
            "position": position,
            "text_key": text_key,
        }
        for name in [f"step-{step:06d}", "last"] if keep else ["last"]:  # each its own blocks of the disk
            save_training_state(self.path / f"{name}.safetensors", optimizer, facts, ema)
        if keep:
            self._remove_older_states(keep)
        return is_best

    def has_stalled(self, patience: int | None) -> bool:
        """Return whether the last `patience` evaluations have all been worse than the best; None: never."""
        later = [r for r in self._records if "val_loss" in r and r["step"] > self.best_step]
        return patience is not None and len(later) >= patience

    def how_to_go_on(self) -> str:
        """Say where a stopped run stands and which command goes on with it."""
        return (
            f"Stopped and saved at step {self.step}. "
            f"Go on with: python train.py --resume {shlex.quote(str(self.path))}"
        )

    def outcome(self, spent: str) -> str:
        """Say what came of a run that is done, where it is, and what it took."""
        return (
            f"best loss {self.best_loss:.4f} nats per token at step {self.best_step} of {self.step}, "
            f"{spent}\n"
            f"checkpoints, settings and metrics: {self.path}\n"
            f"pictures: {self.path / 'loss.png'}, {self.path / 'report.html'}\n"
            f"more text: python sample.py {shlex.quote(str(self.path))}"
        )

    def draw(self, vocab_size: int, val_label: str, floor: float | None) -> None:
        """Draw the loss so far into loss.png, and everything into report.html."""
        train = [(record["step"], record["loss"]) for record in self._records if "loss" in record]
        val = [(record["step"], record["val_loss"]) for record in self._records if "val_loss" in record]
        if train and val:
            plot_loss(self.path / "loss.png", train, val, vocab_size, val_label, floor)
        write_report(self.path, self._records, self.about, val_label, floor)

    def write_sample(self, text: str) -> None:
        """Keep what the model wrote."""
        self._write("sample.txt", text)

    def _acquire(self) -> None:
        self._lock = RunLock(self.path)
        self._lock.acquire()

    def _remove_older_states(self, keep: int) -> None:
        """Remove all but the newest states up to this step; later ones are of a run that has gone back."""
        states = [(int(path.stem.removeprefix("step-")), path) for path in self.path.glob(STATES)]
        for _, path in sorted(each for each in states if each[0] <= self.step)[:-keep]:
            path.unlink()

    def _claim(self) -> bool:
        """Make the folder ours; False if it is a run already. Of two processes only one gets it."""
        make_folder(self.path)
        config = self.path / "config.json"
        names = {path.name for path in self.path.iterdir()}  # one look: another process may be at it, too
        if names and config.name not in names:
            raise InputError(f"{self.path} is not empty and holds no run; expected another --out")
        try:
            config.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _check_shape(self, config: GPTConfig) -> None:
        """See that the model is the one that the run began with; dropout may change."""
        began = GPTConfig.from_dict(load_json(self.path / "config.json"))
        for name, value in dataclasses.asdict(began).items():
            asked = getattr(config, name)
            if asked != value and name not in ("dropout", "init_std"):
                raise InputError(f"model.{name} is {asked!r}; expected {value!r}, as {self.path} has it")

    def _read_records(self) -> list[dict[str, Any]]:
        """Return the record up to the last checkpoint."""
        path = self.path / "metrics.jsonl"
        text = read_text(path)
        try:
            records = [json.loads(line) for line in text.splitlines()]
            return [record for record in records if record["step"] <= self.step]
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is damaged: {error!r}; expected a JSON object per line") from None

    def _write_config(self, config: GPTConfig) -> None:
        self._write("config.json", json.dumps(dataclasses.asdict(config), indent=2))

    def _write_settings(self, settings: RunSettings) -> None:
        content = dataclasses.asdict(settings) | {"out": str(self.path)}
        del content["resume"]
        self._write("run.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def newest_run(folder: str | Path) -> Path | None:
    """Return the run in `folder` whose checkpoint was written last, or None."""
    checkpoints = sorted(Path(folder).glob("*/last.safetensors"), key=lambda path: path.stat().st_mtime)
    return checkpoints[-1].parent if checkpoints else None


def saved_generation(run: str | Path) -> dict[str, Any]:
    """Return the generation settings of a run, or none of them if it has no run.yaml.

    Raises:
        InputError: the file is not what `RunFolder.begin` writes.
    """
    path = Path(run) / "run.yaml"
    if not path.exists():
        return {}
    generation = load_yaml(path).get("generation")
    if not isinstance(generation, dict):
        raise InputError(f"{path} has no section 'generation'; expected the settings of a run")
    return generation
