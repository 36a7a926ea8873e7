"""How good do the models get? Each recipe is one command; this runs them and writes docs/results.md.

python -m benchmarks.quality                                all of them, a quarter of an hour on two cores
python -m benchmarks.quality --recipes fables,talk          these; what is known of the others stays
"""

import argparse
import json
import math
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import OtherPrograms, describe
from benchmarks.program import BUSY, RESULTS, ROOT, Content, new_console
from benchmarks.tables import Table
from benchmarks.time_to_loss import find_text
from benchmarks.timing import median
from scratchgpt.runs.curves import read_records
from scratchgpt.utils.files import atomic_path, load_json, load_yaml

PAGE = ROOT / "docs" / "results.md"
SHAKESPEARE = "shakespeare"  # read from the shared data if it is there, and else downloaded
SHAKESPEARE_GPU = ROOT / "configs" / "shakespeare.yaml"


class Recipe(NamedTuple):
    """A run that anybody can repeat: the arguments of train.py, and what is to be seen in it."""

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
        "the same model with settings of our own; the goal is 1.88",
    ),
    "shakespeare-cpu-fast": Recipe(
        ["--config", "configs/shakespeare-cpu-fast.yaml", "--data", SHAKESPEARE],
        "the goal in less time",
    ),
    "grammar": Recipe(["--config", "configs/grammar.yaml"], "stories of known entropy"),
    "pydoc-characters": Recipe(
        ["--config", "configs/pydoc.yaml", "--tokenizer.kind", "char"], "Python's language reference"
    ),
    "pydoc": Recipe(["--config", "configs/pydoc.yaml"], "the same by byte pair tokens"),
    "talk": Recipe(["--config", "configs/talk.yaml"], "dialogues; what the bot says counts"),
}


def measure(recipe: Recipe) -> Content:
    """Train with a recipe, evaluate what came of it, and return the figures with their machine."""
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
            "machine": describe() | {"busy_cores": others.busy_cores()},
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
    """Return a line for each recipe."""
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
        "nats, perplexity and accuracy: per token of the whole held-out part, by the weights of the best "
        "evaluation. above: bits per token above the entropy of the source, where it is known. seconds: of "
        "the command, from reading the text to the sample."
    )
    columns = ["recipe", "nats", "bits per byte", "perplexity", "accuracy", "above", "best step", "seconds"]
    return Table("Held-out text", columns, lines, note)


def commands(runs: Content) -> str:
    """Return the command, the seed and the machine of each recipe."""
    parts = []
    for name, run in runs.items():
        machine = run["machine"]
        busy = machine["busy_cores"]
        others = f"; other programs kept {busy:.1f} cores busy" if busy is not None and busy > BUSY else ""
        parts.append(
            f"**{name}** (seed {run['seed']}; {machine['date']}, {machine['processor']}, {machine['cores']} "
            f"cores, Python {machine['python']}, NumPy {machine['numpy']}{others})"
            f"\n\n```\n{run['command']}\n```"
        )
    return "\n\n".join(parts)


def replies(run: Content) -> str:
    """Return how a model of dialogues replies."""
    said = run["replies"]
    examples = "\n".join(
        f"| {example['prompt'].rpartition('User: ')[2].partition('<sep>')[0]} | {example['reference']} "
        f"| {example['said']} |"
        for example in said["examples"]
    )
    bleu = f"BLEU **{said['bleu']:.1f}** ({said['bleu_signature']}) and " if "bleu" in said else ""
    return (
        f"{bleu}**{100 * said['exact_match']:.1f} %** "
        f"to the letter, over {said['number']} replies to held-out dialogues, generated token by token "
        "(the likeliest), not teacher-forced: `scratchgpt evaluate runs/talk`.\n\n"
        f"| the user | the text | the model |\n| --- | --- | --- |\n{examples}\n"
    )


def estimate() -> str:
    """Return what the recipe for a GPU would take on a CPU, from the measured time of a step."""
    step = load_json(RESULTS / "train_step.json")
    row, training = step["rows"]["6x6x384"], load_yaml(SHAKESPEARE_GPU)["training"]
    seconds = median(row["seconds"]["scratchgpt"]) * training["batch_size"] / row["batch_size"]
    hours = seconds * training["max_steps"] / 3600
    return (
        "nanoGPT's recipe for a GPU, 10.7 million parameters on Tiny Shakespeare by characters "
        "(`python train.py --config configs/shakespeare.yaml`), has not been run to its end. "
        f"`python -m benchmarks.train_step` measures {median(row['seconds']['scratchgpt']):.2f} s for a step "
        f"of {row['batch_size']} rows of {row['block_size']} tokens on {step['threads']} threads; the "
        f"recipe's {training['max_steps']:,} steps of {training['batch_size']} rows would take about "
        f"{hours:.0f} hours. This row stays open until a GPU has run it."
    )


def write_page(content: Content, page: Path) -> None:
    """Write docs/results.md."""
    runs = {name: content["runs"][name] for name in RECIPES if name in content["runs"]}
    parts = [
        "# Results",
        "How good the models get, each by one command. `python -m benchmarks.quality` runs the commands, "
        "measures with `scratchgpt evaluate`, and writes this page from `benchmarks/results/quality.json`. "
        "The same seed gives the same weights on the same machine.",
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
    """Run the recipes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", default=",".join(RECIPES), help="their names, with commas")
    parser.add_argument("--json", type=Path, default=RESULTS / "quality.json", help="where to keep figures")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    parser.add_argument("--page-only", action="store_true", help="write the page from figures that are there")
    options = parser.parse_args()
    console = new_console()
    content: Content = load_json(options.json) if options.json.exists() else {"runs": {}}
    names = [] if options.page_only else [name.strip() for name in options.recipes.split(",")]
    for name in names:
        if name not in RECIPES:
            parser.error(f"there is no recipe {name!r}; expected some of {', '.join(RECIPES)}")
    for name in names:
        console.print(f"{name} ...", highlight=False)
        content["runs"][name] = measure(RECIPES[name])
        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    console.print(table(content["runs"]).rich())
    write_page(content, options.page)


if __name__ == "__main__":
    main()
