"""The options of `scratchgpt sample`."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchgpt.cli.options.generation import add_generation_arguments, chosen_settings, typed_settings
from scratchgpt.cli.options.model import add_backend_arguments, add_checkpoint_argument
from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings
from scratchgpt.runs.folder import newest_run, saved_generation


@dataclass(frozen=True)
class SampleOptions:
    """Everything that can be set on the command line of `scratchgpt sample`.

    Attributes:
        run: the folder of the run.
        checkpoint: "best", "last", or None for best if it exists, else last.
        prompts: the file of prompts, "-" for standard input, or None for the prompt in `generation`.
        num_samples: number of texts per prompt.
        seed: of the first text, and one more for each further text; None draws one.
        generation: the run's own settings, overridden by the options typed.
        json: whether to write JSON lines.
        show_probabilities: whether to show the probability of each token, if the output is not JSON.
        alternatives: how many of the most likely tokens to list for each token.
        backend: the backend that computes.
        threads: number of CPU threads; None means one per core.
        precision: of the arithmetic on a GPU.
        device: index of the GPU; None means the first.
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
    """Return the options of `scratchgpt sample`; the default run is the newest one in `--runs`.

    Raises:
        InputError: if an option is invalid, or there is no run.
    """
    parser, argv = _sample_parser(prog), list(argv)
    flags = parser.parse_args(argv, defaults=False).as_dict()
    values = parser.parse_args(argv).as_dict()

    _check(values, flags)
    run = Path(values["run"]) if values["run"] else newest_run(values["runs"])
    if run is None:
        raise InputError(
            f"there is no run in {values['runs']!r}; train one first, or name the folder of a run"
        )
    if not values["run"]:
        print(f"{parser.prog}: from {run}", file=sys.stderr)
    generation = generation_of_run(run, flags, parser.prog)
    if generation.beams > 1:
        _check_beam_search(generation.beams, values)
    values |= {"run": run, "generation": generation}
    values["show_probabilities"] |= values["alternatives"] > 0
    return SampleOptions(**{field.name: values[field.name] for field in dataclasses.fields(SampleOptions)})


def generation_of_run(run: Path, flags: Mapping[str, Any], prog: str) -> GenerationSettings:
    """Return a run's settings overridden by the options typed; report saved settings that this drops."""
    saved = saved_generation(run)
    settings, dropped = chosen_settings(saved, typed_settings(flags))
    if dropped:
        shown = ", ".join(f"{name} {saved[name]}" for name in dropped)
        print(
            f"{prog}: these options exclude settings of the run, which are ignored: {shown}", file=sys.stderr
        )
    return settings


def _check(values: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """Check the options that are not about generation, and that they do not exclude each other."""
    if values["num_samples"] < 1:
        raise InputError(f"--num-samples is {values['num_samples']}; expected at least 1")
    if values["alternatives"] < 0:
        raise InputError(f"--alternatives is {values['alternatives']}; expected at least 0")
    if values["prompts"] is not None and "prompt" in flags:
        raise InputError(f"--prompts {values['prompts']} and --prompt exclude each other; leave out one")
    if values["json"] and values["show_probabilities"]:
        raise InputError("--json writes the probability of each token anyway; leave out --show-probabilities")


def _check_beam_search(beams: int, values: Mapping[str, Any]) -> None:
    if values["num_samples"] > beams:
        raise InputError(
            f"--num-samples is {values['num_samples']}; expected at most --beams, which is {beams}"
        )
    for name in ("json", "show_probabilities", "alternatives"):
        if values[name]:
            option = "--" + name.replace("_", "-")
            raise InputError(
                f"--beams is {beams}; expected 1 with {option}, because a beam search yields whole "
                "texts and no probability of each token"
            )


def _sample_parser(prog: str) -> Parser:
    parser = Parser(prog=prog, description="Generate text with a trained model.")
    parser.add_argument(
        "run", metavar="RUN", type=str | None, nargs="?", help="the folder of a run; default: the newest"
    )
    parser.add_argument(
        "--runs", type=str, default="runs", help="the folder in which to look for the newest run"
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--prompt", type=str, help="the text to continue; default: the run's prompt, or a newline"
    )
    parser.add_argument(
        "--prompts",
        type=str,
        metavar="FILE",
        help="continue each line of a text file, or the field 'prompt' of each line of a .jsonl file; "
        "- is standard input",
    )
    parser.add_argument("--num-samples", type=int, default=1, help="number of texts per prompt")
    parser.add_argument("--seed", type=int | None, help="same seed, same text; default: a random seed")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line, one per text")
    parser.add_argument(
        "--show-probabilities", action="store_true", help="color each token by its probability"
    )
    parser.add_argument(
        "--alternatives",
        type=int,
        default=0,
        help="number of most likely tokens to list next to each token, in a table or in the JSON",
    )
    add_generation_arguments(parser)
    add_backend_arguments(parser)
    return parser
