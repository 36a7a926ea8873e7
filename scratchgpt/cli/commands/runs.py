"""`scratchgpt runs`: what the runs in a folder have reached, and how they differ."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from safetensors import SafetensorError, safe_open

from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Curve, Record, curve, read_records
from scratchgpt.runs.report import flat
from scratchgpt.utils.files import load_json, load_yaml
from scratchgpt.utils.terminal import console, fits, printable

RUN_FILES = ("run.yaml", "metrics.jsonl", "last.safetensors")  # any of them makes a run
NOT_COMPARED = ("out", "logger", "model.vocab_size")  # the last may be null, and config.json knows it


@dataclass(frozen=True)
class Run:
    """A run as it is on disk.

    Attributes:
        folder: where.
        configuration: settings by "section.name", in words.
        records: see metrics.jsonl; none before the first evaluation.
        max_steps: steps that the settings ask for; 0 if they do not say.
        tokens_per_step: targets of a batch; 0 if the settings do not say.
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
        """Time of the steps, where it can be known; from the pace if it was not recorded."""
        recorded, pace = (curve(self.records, name).values for name in ("seconds", "tokens_per_second"))
        if len(recorded):
            seconds = float(recorded[-1])
        elif len(pace) and pace[-1] > 0:
            seconds = self.step * self.tokens_per_step / float(pace[-1])
        else:
            return None
        return seconds if 0 <= seconds < 1e10 else None  # three hundred years are a damaged record

    @property
    def losses(self) -> Curve:
        """The evaluations, in nats per token."""
        return curve(self.records, "val_loss")

    def in_words(self) -> list[str]:
        """Return steps, best loss and its step, tokens seen, and time, with a ~ if it is an estimate."""
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


FACTS = ("steps", "best loss", "at step", "tokens", "time")  # as `Run.in_words` says them


def read_run(folder: str | Path) -> Run:
    """Return the run in a folder.

    Raises:
        InputError: it is no run, or a file of it is missing or damaged.
    """
    folder = Path(folder)
    if not any((folder / name).exists() for name in RUN_FILES):
        raise InputError(f"{folder} is not a run; expected a folder that train.py has made")
    settings, config = load_yaml(folder / "run.yaml"), load_json(folder / "config.json")
    metrics, records = folder / "metrics.jsonl", []
    if metrics.exists():
        records = read_records(metrics)
        _check_checkpoint(folder / "last.safetensors")
    training = settings.get("training")
    known = flat({key: value for key, value in settings.items() if value is not None})
    configuration = {name: value for name, value in known.items() if name not in NOT_COMPARED}
    return Run(
        folder,
        configuration | flat({"model": config}),
        records,
        _whole(training, "max_steps"),
        _whole(training, "batch_size") * _whole(config, "block_size"),
    )


def differences(runs: Sequence[Run]) -> list[str]:
    """Return the names of the settings in which the runs are not all alike."""
    names = dict.fromkeys(name for run in runs for name in run.configuration)
    return [name for name in names if len({run.configuration.get(name) for run in runs}) > 1]


def compact(n: int) -> str:
    """Return a number with one decimal and a unit: 2304000 is 2.3M."""
    size, power = float(n), 0
    while size >= 999.5 and power < 4:
        size, power = size / 1000, power + 1
    return f"{size:.1f}{' kMGT'[power]}" if power else str(n)


def short(name: str, among: Collection[str]) -> str:
    """Return a setting's name without its section, if no other one ends like it."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in among) == 1 else name


def main(argv: Sequence[str]) -> int:
    """List the runs in a folder, the most recent first; return the exit code."""
    parser = Parser(prog="scratchgpt runs", description="List the runs in a folder, the most recent first.")
    parser.add_argument("folder", nargs="?", type=str, default="runs", help="where the runs are")
    folder = Path(parser.parse_args(list(argv)).folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; expected one that holds runs")
    found = [path for path in folder.iterdir() if any((path / name).exists() for name in RUN_FILES)]
    if not found:
        raise InputError(f"there is no run in {folder}; expected one, as train.py makes it")
    found.sort(key=_changed, reverse=True)
    print_table(console(), [_read_or_problem(path) for path in found])
    return 0


def print_table(out: Console, runs: Sequence[tuple[Path, Run | InputError]]) -> None:
    """Print a row for each run, then how their settings differ and what is wrong with the damaged ones.

    Where a row does not fit, the name has a line of its own, and below is what the row would say.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    for fact in FACTS:
        table.add_column(fact, justify="right", no_wrap=True)
    for path, run in runs:
        table.add_row(printable(path.name), *(run.in_words() if isinstance(run, Run) else ["damaged"]))
    if fits(out, table):
        out.print(table)
    else:
        for path, run in runs:
            out.print(printable(path.name), soft_wrap=True)
            out.print(Padding(_facts(run), (0, 0, 1, 4)))
    for line in [
        *_settings([run for _, run in runs if isinstance(run, Run)]),
        *(f"{path.name} is damaged: {run}" for path, run in runs if isinstance(run, InputError)),
    ]:
        out.print(printable(line), soft_wrap=True)


def _facts(run: Run | InputError) -> str:
    """Return what the row of a run says."""
    if isinstance(run, InputError):
        return "damaged"
    return ", ".join(f"{fact} {value}" for fact, value in zip(FACTS, run.in_words(), strict=True) if value)


def _settings(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the settings that most runs have, of those that differ, and each run's that are others."""
    names = differences(runs)
    values = {name: [run.configuration.get(name, "-") for run in runs] for name in names}
    usual = {name: Counter(column).most_common(1)[0][0] for name, column in values.items()}
    if names:
        yield "most have " + ", ".join(f"{short(name, names)} {usual[name]}" for name in names)
    for i, run in enumerate(runs):
        unusual = [
            f"{short(name, names)} {values[name][i]}" for name in names if values[name][i] != usual[name]
        ]
        if unusual:
            yield f"{run.folder.name} has {', '.join(unusual)}"


def _read_or_problem(path: Path) -> tuple[Path, Run | InputError]:
    try:
        return path, read_run(path)
    except InputError as error:
        return path, error


def _check_checkpoint(path: Path) -> None:
    """See that the file is there and whole, by its header."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected the last checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is corrupted or truncated: {error}; expected a safetensors file") from None


def _changed(folder: Path) -> float:
    """Return when a run has written last."""
    return max(path.stat().st_mtime for path in (folder / name for name in RUN_FILES) if path.exists())


def _whole(settings: Any, name: str) -> int:
    value = settings.get(name) if isinstance(settings, Mapping) else None
    return value if isinstance(value, int) else 0
