"""A run on disk in brief: how far it got, with which settings, and how it differs from other runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Curve, Record, curve, read_records
from scratchgpt.runs.report import flat
from scratchgpt.utils.files import load_json, load_yaml
from scratchgpt.utils.words import compact

RUN_FILES = ("run.yaml", "metrics.jsonl", "last.safetensors")  # a folder with any of them is a run
NOT_COMPARED = (
    "out",
    "logger",
    "model.vocab_size",
)  # the last may be null; the one in config.json is compared
FACTS = ("steps", "best validation loss", "at step", "tokens", "time")  # the columns of `RunSummary.facts`
MAX_SECONDS = 1e10  # 300 years: more means that the record is damaged


@dataclass(frozen=True)
class RunSummary:
    """What the files of a run say about it.

    Attributes:
        folder: the folder of the run.
        configuration: settings by "section.name", values as YAML.
        records: see metrics.jsonl; empty before the first evaluation.
        max_steps: steps of the whole run; 0 if the settings do not say.
        tokens_per_step: targets per batch; 0 if the settings do not say.
    """

    folder: Path
    configuration: Mapping[str, str]
    records: Sequence[Record]
    max_steps: int
    tokens_per_step: int

    @property
    def step(self) -> int:
        """Steps taken up to the last checkpoint."""
        return max((record["step"] for record in self.records), default=0)

    @property
    def seconds(self) -> float | None:
        """Training time: as recorded, else estimated from the last tokens per second, else None."""
        recorded, pace = (curve(self.records, name).values for name in ("seconds", "tokens_per_second"))
        if len(recorded):
            seconds = float(recorded[-1])
        elif len(pace) and pace[-1] > 0:
            seconds = self.step * self.tokens_per_step / float(pace[-1])
        else:
            return None
        return seconds if 0 <= seconds < MAX_SECONDS else None

    @property
    def losses(self) -> Curve:
        """The validation losses, in nats per token."""
        return curve(self.records, "val_loss")

    def facts(self) -> list[str]:
        """Return the columns of FACTS: its time begins with ~ if it is estimated."""
        best = self.losses.best() if len(self.losses.steps) else None
        time = "" if self.seconds is None else str(timedelta(seconds=round(self.seconds)))
        about = "" if len(curve(self.records, "seconds").steps) or not time else "~"
        return [
            f"{self.step:,}/{self.max_steps:,}",
            f"{best[1]:.4f}" if best else "none yet",
            f"{best[0]:,}" if best else "",
            compact(self.step * self.tokens_per_step),
            about + time,
        ]


def is_run(folder: Path) -> bool:
    """Return whether a folder holds any file of a run."""
    return any((folder / name).exists() for name in RUN_FILES)


def last_changed(folder: Path) -> float:
    """Return when a file of a run was last written, in seconds since the epoch."""
    return max(path.stat().st_mtime for path in (folder / name for name in RUN_FILES) if path.exists())


def read_summary(folder: str | Path) -> RunSummary:
    """Return the summary of the run in a folder.

    Raises:
        InputError: if the folder is not a run, or one of its files is missing or damaged.
    """
    folder = Path(folder)
    if not is_run(folder):
        raise InputError(f"{folder} is not a run; expected the folder of a run, such as runs/fables")
    settings, config = load_yaml(folder / "run.yaml"), load_json(folder / "config.json")
    metrics, records = folder / "metrics.jsonl", []
    if metrics.exists():
        records = read_records(metrics)
        _check_checkpoint(folder / "last.safetensors")
    training = settings.get("training")
    known = flat({key: value for key, value in settings.items() if value is not None})
    configuration = {name: value for name, value in known.items() if name not in NOT_COMPARED}
    return RunSummary(
        folder,
        configuration | flat({"model": config}),
        records,
        _whole(training, "max_steps"),
        _whole(training, "batch_size") * _whole(config, "block_size"),
    )


def differences(runs: Sequence[RunSummary]) -> list[str]:
    """Return the names of the settings that are not the same in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.configuration)
    return [name for name in names if len({run.configuration.get(name) for run in runs}) > 1]


def short(name: str, among: Collection[str]) -> str:
    """Return a setting's name without its section, unless another name in `among` ends the same."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in among) == 1 else name


def _check_checkpoint(path: Path) -> None:
    """Check that a checkpoint exists and is complete, by its header."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected the last checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is corrupted or truncated: {error}; expected a safetensors file") from None


def _whole(settings: Any, name: str) -> int:
    value = settings.get(name) if isinstance(settings, Mapping) else None
    return value if isinstance(value, int) else 0
