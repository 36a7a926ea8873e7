"""Let a trained run write.

python sample.py                                       the newest run in runs/
python sample.py runs/fables --prompt "The fox" --temperature 0.7 --top-p 0.9 --stop "\\n\\n"
python sample.py runs/fables --prompt "The fox" --show-probabilities --alternatives 3
python sample.py runs/fables --prompts prompts.txt --num-samples 2 --json > texts.jsonl
"""

import secrets

import scratchgpt as sg
from scratchgpt import cli
from scratchgpt.samples.batches import requests, samples
from scratchgpt.samples.json_lines import print_json
from scratchgpt.samples.plain import print_texts
from scratchgpt.samples.probabilities import print_probabilities
from scratchgpt.samples.prompts import check_prompts, read_prompts
from scratchgpt.samples.texts import best_texts, scored_texts, texts
from scratchgpt.terminal import console


def main() -> None:
    """Load a run and print its continuations of the prompts."""
    options = cli.parse_sample_args()
    listed = [] if options.prompts is None else read_prompts(options.prompts)
    backend = sg.get_backend(
        options.backend, options.threads, precision=options.precision, device=options.device
    )
    model = sg.load(options.run, checkpoint=options.checkpoint, backend=backend)
    check_prompts(listed, model)

    settings = options.generation
    prompts = [prompt.text for prompt in listed] or [settings.prompt]
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    asked = requests(prompts, options.num_samples, seed)
    if options.json:
        print_json(samples(model, asked, settings, options.alternatives))
    elif options.show_probabilities:
        print_probabilities(console(), scored_texts(model, asked, settings, options.alternatives))
    elif settings.beams > 1:
        print_texts(best_texts(model, prompts, options.num_samples, settings))
    else:
        print_texts(texts(model, asked, settings))


if __name__ == "__main__":
    with cli.errors_in_words("sample.py"):
        main()
