"""How soon does training reach a loss? nanoGPT's CPU recipe in PyTorch, and ours, on Tiny Shakespeare.

python -m benchmarks.time_to_loss   # three seeds, on the text among the shared data
python -m benchmarks.time_to_loss --data input.txt --seeds 1 --no-json
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import scratchgpt as sg
from benchmarks import peers
from benchmarks.curve import Curve, Text, Trainer, follow
from benchmarks.our_trainer import OurTrainer
from benchmarks.plots import STYLES, new_picture, save
from benchmarks.program import Benchmark, Options, Parser, Picture, positive, run
from benchmarks.results import Content
from benchmarks.shakespeare import add_text, text_or_exit
from benchmarks.tables import Table, ratio_text, verdict
from benchmarks.timing import median
from scratchgpt.cli.options.train import parse_train_args
from scratchgpt.training.settings import RunSettings

TARGET = 1.8857  # nats per character: what nanoGPT's own program reached with this recipe
THEIR_RECIPE, OUR_RECIPE = "configs/nanogpt-cpu.yaml", "configs/shakespeare-cpu-fast.yaml"
SEEDS, EVERY = 3, 100
ENGINES = ("PyTorch", "scratchgpt")
Recipe = tuple[Callable[..., Trainer], RunSettings]  # the trainer's class, and its settings


def read_settings(config: str, text: Path, max_steps: int | None) -> RunSettings:
    """Return the settings that train.py would use for this configuration and text."""
    flags = [] if max_steps is None else [f"--training.max_steps={max_steps}"]
    return parse_train_args([f"--config={config}", f"--data={text}", "--out=unused", *flags])


def train_all(
    trainers: dict[str, Recipe],
    threads: int,
    seeds: int,
    every: int,
    console: Console,
) -> dict[str, list[Curve]]:
    """Return a curve for each seed, by engine; for each seed the engines train one after the other."""
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
                f"after {curve.seconds[-1]:.1f} s of training"
            )
    return curves


def measure(options: Options, console: Console) -> Content:
    """Train both engines from several seeds."""
    text = text_or_exit(options, console)
    trainers: dict[str, Recipe] = {}
    if theirs := peers.load("torch_trainer", ["torch"], console):
        trainers["PyTorch"] = theirs.TorchTrainer, read_settings(THEIR_RECIPE, text, options.max_steps)
    trainers["scratchgpt"] = OurTrainer, read_settings(options.config, text, options.max_steps)
    curves = train_all(trainers, options.threads, options.seeds, options.every, console)
    return {
        "target": options.target,
        "every": options.every,
        "curves": {engine: [curve._asdict() for curve in each] for engine, each in curves.items()},
    }


def add_options(parser: Parser) -> None:
    """Add the text, our recipe, and how often to train and evaluate."""
    add_text(parser)
    parser.add_argument(
        "--config", default=OUR_RECIPE, help="our recipe, a configuration of train.py (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=positive, default=SEEDS, metavar="N", help="seeds 0 to N-1 (default: %(default)s)"
    )
    parser.add_argument(
        "--every", type=positive, default=EVERY, help="steps between evaluations (default: %(default)s)"
    )
    parser.add_argument(
        "--target", type=float, default=TARGET, help="the loss to reach (default: %(default)s)"
    )
    parser.add_argument("--max-steps", type=positive, help="shorten both recipes to this, for a trial")


def ratio(theirs: Curve, ours: Curve, target: float) -> float | None:
    """Return how many times sooner our run reaches the target; None if it never does.

    A peer that never reaches it counts with the time of its whole run, which flatters the peer.
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
    lines = []
    ratios: dict[str, float | None] = {}
    for seed, ours in enumerate(curves["scratchgpt"]):
        found = ratio(curves["PyTorch"][seed], ours, target) if "PyTorch" in curves else None
        ratios[f"seed {seed}"] = found
        cells = [cell for each in curves.values() for cell in _cells(each[seed], target)]
        lines.append([str(seed), *cells, ratio_text(found)])
    known = [each for each in ratios.values() if each is not None]
    empty = [""] * (2 * len(curves))
    lines.append(["median", *empty, ratio_text(median(known) if len(known) == len(ratios) else None)])
    columns = [f"{engine}: {what}" for engine in curves for what in ("reached after", "at the end")]
    note = (
        f"{verdict('PyTorch', ratios)} Evaluated every {content['every']} steps. ratio: PyTorch's seconds "
        "divided by ours. A run of PyTorch that ends above the loss counts with its whole time, although it "
        "did not get there; if one of ours does, there is no ratio."
    )
    title = f"Seconds of training until the validation loss is {target} nats per character"
    return [Table(title, ["seed", *columns, "ratio"], lines, note.strip())]


def _cells(curve: Curve, target: float) -> list[str]:
    """Return when the target was reached, and how the run ended."""
    at = curve.first_below(target)
    end = f"{curve.losses[-1]:.4f}\n{curve.seconds[-1]:.1f} s, step {curve.steps[-1]}"
    return ["not reached" if at is None else f"{curve.seconds[at]:.1f} s\nstep {curve.steps[at]}", end]


def draw(content: Content, folder: Path) -> list[Picture]:
    """Draw the validation loss against the seconds of training, a line for each run."""
    y_label = "validation loss (nats per character)"
    figure, axes = new_picture("seconds of training", y_label, content["machine"])
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
    return [Picture(path, "Validation loss by seconds of training")]


BENCHMARK = Benchmark(
    "time_to_loss",
    "How soon does training reach a loss?",
    "Tiny Shakespeare by characters, with the last tenth held out. PyTorch follows nanoGPT's recipe for a "
    f"CPU (`{THEIR_RECIPE}`), eagerly, with fused AdamW; scratchgpt follows `{OUR_RECIPE}`, unless the "
    "command names another configuration. **The recipes differ, so this compares recipe and engine "
    "together.** Both clocks count training only. Our engine evaluates both, from their weights: the mean "
    "loss over the whole held-out text, with every character predicted once. For each seed the engines "
    "train one after the other in one process (where PyTorch profits from scratchgpt's settings of the "
    "system's allocator).",
    measure,
    tables,
    draw,
    add_options,
)

if __name__ == "__main__":
    run(BENCHMARK)
