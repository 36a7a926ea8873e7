"""How soon is a loss reached: nanoGPT's CPU recipe in PyTorch, and ours, on Tiny Shakespeare by characters.

python -m benchmarks.time_to_loss                                three seeds, the text found among shared data
python -m benchmarks.time_to_loss --data input.txt --seeds 1 --no-json
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import scratchgpt as sg
from benchmarks import peers
from benchmarks.curve import Curve, Text, Trainer, follow
from benchmarks.our_trainer import OurTrainer
from benchmarks.plots import STYLES, new_picture, save
from benchmarks.program import (
    ROOT,
    Benchmark,
    Content,
    Picture,
    new_console,
    options_of,
    positive,
    publish,
    read_options,
)
from benchmarks.tables import Table, ratio_text
from benchmarks.timing import median
from scratchgpt.cli.errors import exit_on_error
from scratchgpt.cli.options.train import parse_train_args
from scratchgpt.training.settings import RunSettings

TARGET = 1.8857  # nats per character: what nanoGPT's own program reached with this recipe
RECIPE, OURS = "configs/nanogpt-cpu.yaml", "configs/shakespeare-cpu-fast.yaml"
SEEDS, EVERY = 3, 100
ENGINES = ("PyTorch", "scratchgpt")
Recipe = tuple[Callable[..., Trainer], RunSettings]  # who trains, and how


def find_text(given: str | None) -> Path | None:
    """Return the given file, else Tiny Shakespeare in the folder of shared data; None if it is not there."""
    shared = Path(os.environ.get("SCRATCHGPT_SHARED", ROOT.parent / "shared"))
    path = Path(given) if given else shared / "data" / "tinyshakespeare.txt"
    return path if path.is_file() else None


def read_settings(config: str, text: Path, max_steps: int | None) -> RunSettings:
    """Return what train.py would make of this configuration and text."""
    flags = [] if max_steps is None else [f"--training.max_steps={max_steps}"]
    return parse_train_args([f"--config={config}", f"--data={text}", "--out=unused", *flags])


def measure(
    trainers: dict[str, Recipe],
    threads: int,
    seeds: int,
    every: int,
    console: Console,
) -> dict[str, list[Curve]]:
    """Return a curve for each seed, by engine; within a seed the engines come one after the other."""
    backend = sg.get_backend("numpy", threads)  # evaluates both
    texts = {engine: Text.of(settings) for engine, (_, settings) in trainers.items()}
    curves: dict[str, list[Curve]] = {engine: [] for engine in trainers}
    for seed in range(seeds):
        for engine, (make, settings) in trainers.items():
            training = replace(settings.training, seed=seed)
            curve = follow(make(training, texts[engine], threads), training, texts[engine], every, backend)
            curves[engine].append(curve)
            console.print(
                f"seed {seed}, {engine}: loss {curve.losses[-1]:.4f} at step {curve.steps[-1]}, "
                f"after {curve.seconds[-1]:.1f} s of training",
                highlight=False,
            )
    return curves


def ratio(theirs: Curve, ours: Curve, target: float) -> float | None:
    """Return how many times sooner ours reaches the target; None if it never does.

    A peer that never reaches it is given the time of its whole run, which flatters it.
    """
    at, our_at = theirs.first_below(target), ours.first_below(target)
    if our_at is None:
        return None
    return theirs.seconds[-1 if at is None else at] / ours.seconds[our_at]


def tables(content: Content) -> list[Table]:
    """Return the table."""
    target = content["target"]
    curves = {
        engine: [Curve(**curve) for curve in content["curves"][engine]]
        for engine in ENGINES
        if engine in content["curves"]
    }
    lines, ratios = [], []
    for seed, ours in enumerate(curves["scratchgpt"]):
        found = ratio(curves["PyTorch"][seed], ours, target) if "PyTorch" in curves else None
        ratios.append(found)
        lines.append([str(seed), *[cell for each in curves.values() for cell in _cells(each[seed], target)]])
        lines[-1].append(ratio_text(found))
    whole = [each for each in ratios if each is not None]
    empty = [""] * (2 * len(curves))
    lines.append(["median", *empty, ratio_text(median(whole) if len(whole) == len(ratios) else None)])
    columns = [f"{engine}: {what}" for engine in curves for what in ("reached after", "at the end")]
    note = (
        f"Evaluated every {content['every']} steps. ratio: PyTorch's seconds by ours. A run of PyTorch that "
        "ends above the loss counts with its whole time, though it did not get there; where ours does, there "
        "is no ratio."
    )
    title = f"Seconds of training until the validation loss is {target} nats per character"
    return [Table(title, ["seed", *columns, "ratio"], lines, note)]


def _cells(curve: Curve, target: float) -> list[str]:
    """Return when the target was reached, and how the run ended."""
    at = curve.first_below(target)
    end = f"{curve.losses[-1]:.4f}\n{curve.seconds[-1]:.1f} s, step {curve.steps[-1]}"
    return ["not reached" if at is None else f"{curve.seconds[at]:.1f} s\nstep {curve.steps[at]}", end]


def draw(content: Content, folder: Path) -> list[Picture]:
    """Draw the validation loss against the seconds of training, a line for each run."""
    figure, axes = new_picture("seconds of training", "validation loss (nats per character)")
    for engine, curves in content["curves"].items():
        color, marker = STYLES[engine]
        for seed, curve in enumerate(curves):
            label = f"{engine}, {len(curves)} seed{'s' * (len(curves) > 1)}" if seed == 0 else None
            axes.plot(
                curve["seconds"], curve["losses"], color=color, marker=marker, markersize=3, lw=1, label=label
            )
    axes.axhline(
        content["target"], color="0.35", linestyle="--", label=f"{content['target']}, the loss to reach"
    )
    axes.set_xlim(left=0)
    axes.legend()
    path = folder / "time-to-loss.png"
    save(figure, path)
    return [Picture(path, "Validation loss against seconds of training")]


BENCHMARK = Benchmark(
    "time_to_loss",
    "How soon does training reach a loss?",
    "Tiny Shakespeare by characters, the last tenth held out. PyTorch follows nanoGPT's recipe for a CPU "
    f"(`{RECIPE}`), eagerly, with fused AdamW; ours follows `{OURS}`, unless the command names another "
    "configuration. Both clocks count training only. Both are evaluated by our engine on their weights: the "
    "mean loss over the whole held-out text, every character predicted once. Seed by seed, one engine after "
    "the other, in one process (where PyTorch profits from what our backend tells the system's allocator).",
    tables,
    draw,
)


def main() -> None:
    """Train both engines from several seeds."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--data", help="the text; default: tinyshakespeare.txt among the shared data")
    parser.add_argument(
        "--config", default=OURS, help=f"our recipe, a configuration of train.py; default: {OURS}"
    )
    parser.add_argument("--seeds", type=positive, default=SEEDS, help="seeds 0 to N-1")
    parser.add_argument("--every", type=positive, default=EVERY, help="steps between evaluations")
    parser.add_argument("--target", type=float, default=TARGET, help="the loss to reach")
    parser.add_argument(
        "--max-steps", type=positive, help="of both recipes, for a trial; default: as they say"
    )
    options = read_options(parser)
    console = new_console()
    text = find_text(options.data)
    if text is None:
        missing = options.data or "data/tinyshakespeare.txt in SCRATCHGPT_SHARED or ../shared"
        console.print(
            f"Nothing measured: there is no text ({missing}). Give one with --data FILE", markup=False
        )
        sys.exit(0 if options.data is None else 2)
    trainers: dict[str, Recipe] = {
        "scratchgpt": (OurTrainer, read_settings(options.config, text, options.max_steps))
    }
    theirs = peers.load("torch_trainer", ["torch"], console)
    if theirs:
        trainers = {
            "PyTorch": (theirs.TorchTrainer, read_settings(RECIPE, text, options.max_steps)),
            **trainers,
        }
    curves = measure(trainers, options.threads, options.seeds, options.every, console)
    figures = {
        "target": options.target,
        "every": options.every,
        "curves": {engine: [curve._asdict() for curve in each] for engine, each in curves.items()},
    }
    publish(BENCHMARK, figures, options, console)


if __name__ == "__main__":
    with exit_on_error("python -m benchmarks.time_to_loss"):
        main()
