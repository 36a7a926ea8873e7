"""How good do the models get? Runs the recipes, one command each, and writes docs/results.md.

python -m benchmarks.quality   # all of them, a quarter of an hour on two cores
python -m benchmarks.quality --recipes fables,talk   # only these; the figures of the others stay
python -m benchmarks.quality --page-only   # write the page from the figures that are there
"""

import math
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import OtherPrograms, describe, is_disturbed, load_by_others, long_name, short_name
from benchmarks.program import Parser, new_console
from benchmarks.results import RESULTS, ROOT, Content, write_json
from benchmarks.shakespeare import find_text
from benchmarks.tables import Table
from benchmarks.timing import median
from scratchgpt.runs.curves import read_records
from scratchgpt.utils.files import atomic_path, load_json, load_yaml

PAGE = ROOT / "docs" / "results.md"
SHAKESPEARE = "shakespeare"  # taken from the shared data if it is there, or else downloaded
GPU_RECIPE = ROOT / "configs" / "shakespeare.yaml"


class Recipe(NamedTuple):
    """A run that anybody can repeat: the arguments of train.py, and what it is for."""

    arguments: list[str]
    about: str


MUON = "--training.optimizer muon --training.learning_rate 8e-3 --training.min_learning_rate 4e-4"
RECIPES = {
    "fables": Recipe([], "the default run"),
    "fables-muon": Recipe(
        [*MUON.split(), "--training.max_steps", "500"], "another optimizer, a quarter of the steps"
    ),
    "nanogpt-cpu": Recipe(
        ["--config", "configs/nanogpt-cpu.yaml", "--data", SHAKESPEARE],
        "Tiny Shakespeare, nanoGPT's recipe for a CPU, setting for setting",
    ),
    "shakespeare-cpu": Recipe(
        ["--config", "configs/shakespeare-cpu.yaml", "--data", SHAKESPEARE],
        "the same model with our settings; the goal is 1.88",
    ),
    "shakespeare-cpu-fast": Recipe(
        ["--config", "configs/shakespeare-cpu-fast.yaml", "--data", SHAKESPEARE],
        "the goal in less time",
    ),
    "grammar": Recipe(["--config", "configs/grammar.yaml"], "stories of known entropy"),
    "pydoc-characters": Recipe(
        ["--config", "configs/pydoc.yaml", "--tokenizer.kind", "char"],
        "Python's language reference, by characters",
    ),
    "pydoc": Recipe(["--config", "configs/pydoc.yaml"], "the same text with BPE tokens"),
    "talk": Recipe(["--config", "configs/talk.yaml"], "dialogues; only the bot's tokens count"),
}


def measure(recipe: Recipe) -> Content:
    """Train with a recipe, evaluate the model, and return the figures and the machine."""
    others = OtherPrograms()
    shakespeare = find_text(None)
    arguments = [
        str(shakespeare) if argument == SHAKESPEARE and shakespeare else argument
        for argument in recipe.arguments
    ]
    with tempfile.TemporaryDirectory() as folder:
        run, measures = Path(folder) / "run", Path(folder) / "measures.json"
        started = time.perf_counter()
        _python("train.py", *arguments, "--out", str(run))
        seconds = time.perf_counter() - started
        _python("-m", "scratchgpt", "evaluate", str(run), "--json", str(measures))
        settings, records = load_yaml(run / "run.yaml"), read_records(run / "metrics.jsonl")
        evaluations = [record for record in records if "val_loss" in record]
        best = min(evaluations, key=lambda record: record["val_loss"])
        return {
            "command": shlex.join(["python", "train.py", *recipe.arguments]),
            "machine": describe(others),
            "seed": settings["training"]["seed"],
            "steps": settings["training"]["max_steps"],
            "best_step": best["step"],
            "seconds": seconds,
            "matrix_share": evaluations[-1]["matrix_share"],
            **load_json(measures),
        }


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def table(runs: Content) -> Table:
    """Return a row for each recipe."""
    lines = []
    for name, run in runs.items():
        floor = run.get("entropy_of_the_source")
        above = "" if floor is None else f"{(run['loss'] - floor) / math.log(2):.3f}"
        lines.append(
            [
                f"{name}: {RECIPES[name].about}",
                f"{run['loss']:.4f}",
                f"{run['bits_per_byte']:.3f}",
                f"{run['perplexity']:.2f}",
                f"{100 * run['accuracy']:.1f} %",
                above,
                f"{run['best_step']:,} of {run['steps']:,}",
                f"{run['seconds']:.0f}",
            ]
        )
    note = (
        "nats, perplexity and accuracy: per token of the whole held-out part, with the weights of the best "
        "evaluation. above: bits per token above the entropy of the source, where it is known. seconds: of "
        "the whole command, from reading the text to the sample, on the machine named above the table."
    )
    columns = ["recipe", "nats", "bits per byte", "perplexity", "accuracy", "above", "best step", "seconds"]
    machines = dict.fromkeys(short_name(run["machine"]) for run in runs.values())
    return Table("Held-out text", columns, lines, note, "; ".join(machines))


def commands(runs: Content) -> str:
    """Return the command, the seed and the machine of each recipe."""
    parts = []
    for name, run in runs.items():
        machine = run["machine"]
        load = f". {load_by_others(machine)}" if is_disturbed(machine) else ""
        measured_on = long_name(machine, ("python", "numpy")) + load
        parts.append(f"**{name}** (seed {run['seed']}; {measured_on})\n\n```\n{run['command']}\n```")
    return "\n\n".join(parts)


def replies(run: Content) -> str:
    """Return how well a model of dialogues replies, with examples."""
    measured = run["replies"]
    examples = "\n".join(
        f"| {example['prompt'].rpartition('User: ')[2].partition('<sep>')[0]} | {example['reference']} "
        f"| {example['said']} |"
        for example in measured["examples"]
    )
    bleu = (
        f"BLEU **{measured['bleu']:.1f}** ({measured['bleu_signature']}) and " if "bleu" in measured else ""
    )
    return (
        f"{bleu}**{100 * measured['exact_match']:.1f} %** exact matches, over {measured['number']} replies "
        "to held-out dialogues, generated greedily, token by token, not teacher-forced: `scratchgpt "
        f"evaluate runs/talk`.\n\n| user | reference | model |\n| --- | --- | --- |\n{examples}"
    )


def estimate() -> str:
    """Return how long the recipe for a GPU would take on a CPU, from the measured time of a step."""
    step = load_json(RESULTS / "train_step.json")
    row, training = step["rows"]["6x6x384"], load_yaml(GPU_RECIPE)["training"]
    step_seconds = median(row["seconds"]["scratchgpt"])
    hours = step_seconds * training["batch_size"] / row["batch_size"] * training["max_steps"] / 3600
    return (
        "nanoGPT's recipe for a GPU, 10.7 million parameters on Tiny Shakespeare by characters "
        "(`python train.py --config configs/shakespeare.yaml`), has not been run to its end. On "
        f"{step['threads']} threads ({short_name(step['machine'])}) a step of {row['batch_size']} rows of "
        f"{row['block_size']} tokens takes {step_seconds:.2f} s (`python -m benchmarks.train_step`); the "
        f"recipe's {training['max_steps']:,} steps of {training['batch_size']} rows would take about "
        f"{hours:.0f} hours. The row stays open until it has been run on a GPU."
    )


def write_page(content: Content, page: Path) -> None:
    """Write docs/results.md."""
    runs = {name: content["runs"][name] for name in RECIPES if name in content["runs"]}
    parts = [
        "# Results",
        "How good the models get, one command each. `python -m benchmarks.quality` runs the commands, "
        "evaluates the models with `scratchgpt evaluate`, and writes this page from "
        "`benchmarks/results/quality.json`. The same seed gives the same weights on the same machine.",
        table(runs).markdown().rstrip(),
        "## Not run yet: 6x6x384",
        estimate(),
    ]
    talks = {name: run for name, run in runs.items() if "replies" in run}
    parts += [f"## Replies: {name}\n\n{replies(run)}" for name, run in talks.items()]
    parts += ["## The commands", commands(runs)]
    with atomic_path(page) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    """Run the recipes and write the page."""
    parser = Parser(
        prog="python -m benchmarks.quality", description="How good do the models get? Writes docs/results.md."
    )
    parser.add_argument("--recipes", default=",".join(RECIPES), help="names, separated by commas")
    parser.add_argument(
        "--json", type=Path, default=RESULTS / "quality.json", help="file that holds the figures"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    parser.add_argument(
        "--page-only", action="store_true", help="run nothing, write the page from the figures that are there"
    )
    options = parser.parse_args()
    console = new_console()
    content: Content = load_json(options.json) if options.json.exists() else {"runs": {}}
    names = [] if options.page_only else [name.strip() for name in options.recipes.split(",")]
    for name in names:
        if name not in RECIPES:
            parser.error(f"--recipes: there is no recipe {name!r}; choose from {', '.join(RECIPES)}")
    for name in names:
        console.print(f"{name} ...")
        content["runs"][name] = measure(RECIPES[name])
        write_json(options.json, content)
    console.print(table(content["runs"]).rich())
    write_page(content, options.page)


if __name__ == "__main__":
    main()
