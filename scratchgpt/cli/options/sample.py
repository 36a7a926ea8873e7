"""The options of sample.py."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchgpt.cli.options.generation import add_generation_arguments, chosen_settings, typed_settings
from scratchgpt.cli.parser import Parser, add_backend_arguments
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings
from scratchgpt.runs.folder import newest_run, saved_generation


@dataclass(frozen=True)
class SampleOptions:
    """What `sample.py` can be told.

    Attributes:
        run: the folder of the run.
        checkpoint: "best", "last", or None for the best if there is one.
        prompts: the file with the prompts, "-" for standard input, or None for that of `generation`.
        num_samples: how many texts continue each prompt.
        seed: of the first text, the next ones count up; None draws one.
        generation: how to write: the run's own settings, overridden by flags.
        json: whether to write JSON lines.
        show_probabilities: whether to show the probability of each token, where it is not JSON.
        alternatives: how many of the likeliest tokens to name beside each.
        backend: who computes.
        threads: how many threads it may use on a CPU; None means all cores.
        precision: of a GPU's arithmetic.
        device: the number of the GPU; None means the first.
    """

    run: Path
    checkpoint: str | None
    prompts: str | None
    num_samples: int
    seed: int | None
    generation: GenerationSettings
    json: bool
    show_probabilities: bool
    alternatives: int
    backend: str
    threads: int | None
    precision: str
    device: int | None


def parse_sample_args(argv: Sequence[str], prog: str = "sample.py") -> SampleOptions:
    """Return the options for `sample.py`; without a run it is the newest one in `--runs`."""
    parser, argv = _sample_parser(prog), list(argv)
    flags = parser.parse_args(argv, defaults=False).as_dict()
    values = parser.parse_args(argv).as_dict()

    _check(values, flags)
    run = Path(values["run"]) if values["run"] else newest_run(values["runs"])
    if run is None:
        raise InputError(f"there is no run in {values['runs']!r}; expected one, as train.py makes it")
    if not values["run"]:
        print(f"{parser.prog}: from {run}", file=sys.stderr)
    generation = generation_of_run(run, flags, parser.prog)
    if generation.beams > 1 and (values["json"] or values["show_probabilities"] or values["alternatives"]):
        raise InputError(
            f"generation.beams is {generation.beams}; expected 1 beside --json, --show-probabilities and "
            "--alternatives, because a beam search gives whole texts and not the probability of each token"
        )
    return SampleOptions(
        run=run,
        checkpoint=values["checkpoint"],
        prompts=values["prompts"],
        num_samples=values["num_samples"],
        seed=values["seed"],
        generation=generation,
        json=values["json"],
        show_probabilities=values["show_probabilities"] or values["alternatives"] > 0,
        alternatives=values["alternatives"],
        backend=values["backend"],
        threads=values["threads"],
        precision=values["precision"],
        device=values["device"],
    )


def generation_of_run(run: Path, flags: Mapping[str, Any], prog: str) -> GenerationSettings:
    """Return a run's settings overridden by the flags that were typed; say what these leave out of them."""
    saved = saved_generation(run)
    settings, left_out = chosen_settings(saved, typed_settings(flags))
    if left_out:
        words = ", ".join(f"{name} {saved[name]}" for name in left_out)
        print(f"{prog}: left out of the run's settings, because of these flags: {words}", file=sys.stderr)
    return settings


def check_checkpoint(checkpoint: str | None) -> None:
    """See that it is one that a run can have.

    Raises:
        InputError: it is not.
    """
    if checkpoint not in (None, "best", "last"):
        raise InputError(f"checkpoint is {checkpoint!r}; expected best or last")


def _check(values: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """See that the options are good and go together."""
    check_checkpoint(values["checkpoint"])
    if values["num_samples"] < 1:
        raise InputError(f"num-samples is {values['num_samples']}; expected at least 1")
    if values["alternatives"] < 0:
        raise InputError(f"alternatives is {values['alternatives']}; expected at least 0")
    if values["prompts"] is not None and "prompt" in flags:
        raise InputError(f"--prompts {values['prompts']} has the prompts; expected no --prompt beside it")
    if values["json"] and values["show_probabilities"]:
        raise InputError(
            "--json writes the probability of each token, too; expected no --show-probabilities beside it"
        )


def _sample_parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog, description="Let a trained run write; by default the newest.", allow_abbrev=False
    )
    parser.add_argument("run", type=str | None, nargs="?", help="the folder of a run; default: the newest")
    parser.add_argument("--runs", type=str, default="runs", help="where the newest run is looked for")
    parser.add_argument(
        "--checkpoint", type=str | None, help="best or last; default: the best if there is one"
    )
    parser.add_argument(
        "--prompts",
        type=str,
        metavar="FILE",
        help="prompts, one on each line, or of JSON lines (.jsonl) the field 'prompt'; - is standard input",
    )
    parser.add_argument("--num-samples", type=int, default=1, help="how many texts to write for each prompt")
    parser.add_argument("--seed", type=int | None, help="same seed, same text; default: another each time")
    parser.add_argument("--json", action="store_true", help="write a JSON object on a line for each text")
    parser.add_argument(
        "--show-probabilities", action="store_true", help="colour each token by its probability"
    )
    parser.add_argument(
        "--alternatives",
        type=int,
        default=0,
        help="how many of the likeliest tokens to name beside each, in a table or with --json there",
    )
    parser.add_argument("--prompt", type=str, help="the text to continue; default: the run's, or a new line")
    add_generation_arguments(parser)
    add_backend_arguments(parser)
    return parser
