"""`scratchgpt sample`, also `python sample.py`: generate text with a trained model."""

import secrets
from collections.abc import Sequence

from scratchgpt.cli.options.generation import errors_name_options
from scratchgpt.cli.options.model import load_model
from scratchgpt.cli.options.sample import parse_sample_args
from scratchgpt.cli.samples.batches import requests, samples
from scratchgpt.cli.samples.json_lines import print_json
from scratchgpt.cli.samples.plain import print_texts
from scratchgpt.cli.samples.probabilities import print_probabilities
from scratchgpt.cli.samples.prompts import check_prompts, read_prompts
from scratchgpt.cli.samples.texts import best_texts, scored_texts, texts
from scratchgpt.utils.terminal import console

PROG = "scratchgpt sample"


def main(argv: Sequence[str], prog: str = PROG) -> int:
    """Load a run and print its continuations of the prompts; return the exit code.

    Args:
        argv: the arguments.
        prog: the program's name as the user typed it: "scratchgpt sample" or "sample.py".
    """
    options = parse_sample_args(argv, prog)
    listed = [] if options.prompts is None else read_prompts(options.prompts)
    model = load_model(options.run, options.checkpoint, options)
    check_prompts(listed, model)

    settings = options.generation
    prompts: list[str | None] = [prompt.text for prompt in listed] or [settings.prompt]
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    asked = requests(prompts, options.num_samples, seed)
    with errors_name_options():
        if options.json:
            print_json(samples(model, asked, settings, options.alternatives))
        elif options.show_probabilities:
            print_probabilities(console(), scored_texts(model, asked, settings, options.alternatives))
        elif settings.beams > 1:
            print_texts(best_texts(model, prompts, options.num_samples, settings))
        else:
            print_texts(texts(model, asked, settings))
    return 0
