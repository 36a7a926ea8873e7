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

STATES = "step-[0-9]*[0-9].safetensors"


class RunFolder:
    """A run on disk. Nothing is written before `begin` or `resume`, which also lock the folder.

    Use it as a context manager around training: at the end the lock is let go.

    Attributes:
        path: the folder.
        step: optimizer steps that the last checkpoint has taken.
        best_loss: the least validation loss so far, in nats per token.
        best_step: when it was reached.
        record: what is known of every step.
        about: what is trained, in a few lines, for the report.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.step = 0
        self.best_loss = math.inf
        self.best_step = 0
        self.record = RunRecord(self.path)
        self.about = ""
        self._lock: RunLock | None = None
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
        self.record = RunRecord(self.path)
        self._acquire()
        tokenizers.save(tokenizer, self.path)
        ids = corpus.generation_config(tokenizer.special_ids)
        self._write("generation_config.json", json.dumps(ids, indent=2))
        self._write_settings(settings)
        self._write_config(model.config)

    def resume(self, settings: RunSettings, state: TrainingState) -> None:
        """Load the last checkpoint into the state of training, and the record up to there.

        The settings may differ from those that the run began with (but for the model's shape);
        the new ones are kept with the next checkpoint. Another text is allowed, and said.

        Raises:
            InputError: the checkpoint is missing, corrupted or of another shape of model, or another
                process trains in this folder.
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
            raise InputError(f"{checkpoint} does not say how far it is: {error!r}; expected a step") from None
        if self.step >= settings.training.max_steps:
            raise InputError(
                f"{self.path} is at step {self.step} already; expected a longer budget, "
                f"as a larger --training.max_steps (now {settings.training.max_steps})"
            )
        if began_with != state.text_key:
            self.best_loss = math.inf  # of another text
            logging.getLogger(__name__).warning(
                "the text is not the one that %s was trained on; training goes on with the new one", self.path
            )
        self.record.read(self.step)
        self._on_next_save = (settings, state.model.config)

    def save(self, state: TrainingState, step: int, val_loss: float, *, keep: int = 0) -> bool:
        """Write the last checkpoint, the record and, if this loss is the least, the best one.

        Args:
            state: what there is to keep.
            step: steps taken.
            val_loss: the loss of the evaluation.
            keep: how many training states to keep besides the last one, this one included.

        Returns:
            Whether it was the least.
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
        for name in [f"step-{step:06d}", "last"] if keep else ["last"]:  # each its own blocks of the disk
            save_training_state(self.path / f"{name}.safetensors", state.optimizer, facts, state.ema)
        if keep:
            self._remove_older_states(keep)
        return is_best

    def has_stalled(self, patience: int | None) -> bool:
        """Return whether the last `patience` evaluations have all been worse than the best; None: never."""
        return patience is not None and self.record.n_evaluations_after(self.best_step) >= patience

    def draw(self, vocab_size: int, val_label: str, floor: float | None) -> None:
        """Draw the loss so far into loss.png, and everything into report.html."""
        entries = self.record.entries
        train = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
        val = [(entry["step"], entry["val_loss"]) for entry in entries if "val_loss" in entry]
        if train and val:
            plot_loss(self.path / "loss.png", train, val, vocab_size, val_label, floor)
        write_report(self.path, entries, self.about, val_label, floor)

    def write_sample(self, text: str) -> str:
        """Keep what the model wrote, and return it."""
        self._write("sample.txt", text)
        return text

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

    def _write_config(self, config: GPTConfig) -> None:
        self._write("config.json", json.dumps(dataclasses.asdict(config), indent=2))

    def _write_settings(self, settings: RunSettings) -> None:
        self._write("run.yaml", dataclasses.replace(settings, out=str(self.path)).as_yaml())

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
