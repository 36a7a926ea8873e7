"""Let a trained run write.

python sample.py                                       the newest run in runs/
python sample.py runs/fables --prompt "The fox" --temperature 0.7 --top-k 20
"""

import dataclasses

import scratchgpt as sg
from scratchgpt import cli


def main() -> None:
    """Load a run and print its continuations of the prompt, each token as soon as it is known."""
    options = cli.parse_sample_args()
    backend = sg.get_backend(
        options.backend, options.threads, precision=options.precision, device=options.device
    )
    language_model = sg.load(options.run, checkpoint=options.checkpoint, backend=backend)
    for i in range(options.num_samples):
        seed = None if options.seed is None else options.seed + i
        pieces = language_model.stream(**dataclasses.asdict(options.generation), seed=seed)
        print(options.generation.prompt or "", end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print("\n" + "-" * 72 if i + 1 < options.num_samples else "")


if __name__ == "__main__":
    with cli.errors_in_words("sample.py"):
        main()
