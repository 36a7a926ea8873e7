"""The options of sample.py."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scratchgpt.cli.parser import Parser, add_backend_arguments
from scratchgpt.errors import InputError
from scratchgpt.run_folder import newest_run, saved_generation
from scratchgpt.settings import GenerationSettings
from scratchgpt.validation import from_mapping


@dataclass(frozen=True)
class SampleOptions:
    """What `sample.py` can be told.

    Attributes:
        run: the folder of the run.
        checkpoint: "best", "last", or None for the best if there is one.
        num_samples: how many texts to write.
        seed: of the first text, the next ones count up; None draws new ones.
        generation: how to write: the run's own settings, overridden by flags.
        backend: who computes.
        threads: how many threads it may use on a CPU; None means all cores.
        precision: of a GPU's arithmetic.
        device: the number of the GPU; None means the first.
    """

    run: Path
    checkpoint: str | None
    num_samples: int
    seed: int | None
    generation: GenerationSettings
    backend: str
    threads: int | None
    precision: str
    device: int | None


def parse_sample_args(argv: Sequence[str] | None = None) -> SampleOptions:
    """Return the options for `sample.py`; without a run it is the newest one in `--runs`."""
    parser = Parser(
        prog="sample.py", description="Let a trained run write; by default the newest.", allow_abbrev=False
    )
    parser.add_argument("run", type=str | None, nargs="?", help="the folder of a run; default: the newest")
    parser.add_argument("--runs", type=str, default="runs", help="where the newest run is looked for")
    parser.add_argument(
        "--checkpoint", type=str | None, help="best or last; default: the best if there is one"
    )
    parser.add_argument("--num-samples", type=int, default=1, help="how many texts to write")
    parser.add_argument("--seed", type=int | None, help="same seed, same text; default: another each time")
    parser.add_argument("--prompt", type=str, help="the text to continue; default: the run's, or a new line")
    parser.add_argument(
        "--max-new-tokens", type=int | None, help="tokens to generate; default: the run's setting"
    )
    parser.add_argument("--temperature", type=float | None, help="0 is greedy; default: the run's setting")
    parser.add_argument(
        "--top-k", type=int | None, help="only the k likeliest tokens; default: the run's setting"
    )
    add_backend_arguments(parser)
    values = parser.parse_args(argv).as_dict()

    run = Path(values["run"]) if values["run"] else newest_run(values["runs"])
    if run is None:
        raise InputError(f"there is no run in {values['runs']!r}; expected one, as train.py makes it")
    if values["checkpoint"] not in (None, "best", "last"):
        raise InputError(f"checkpoint is {values['checkpoint']!r}; expected best or last")
    if not values["run"]:
        print(f"sample.py: from {run}", file=sys.stderr)
    if values["num_samples"] < 1:
        raise InputError(f"num-samples is {values['num_samples']}; expected at least 1")
    names = [field.name for field in dataclasses.fields(GenerationSettings)]
    flags = {name: values[name] for name in names if values[name] is not None}
    return SampleOptions(
        run=run,
        checkpoint=values["checkpoint"],
        num_samples=values["num_samples"],
        seed=values["seed"],
        generation=from_mapping(GenerationSettings, saved_generation(run) | flags, "generation."),
        backend=values["backend"],
        threads=values["threads"],
        precision=values["precision"],
        device=values["device"],
    )
