"""One measurement of memory with or without recomputed blocks, in a process of its own.

python -m benchmarks.checkpointing_probe ROW RECOMPUTE THREADS STEPS

RECOMPUTE is 0 or 1. Prints as JSON the peak of the resident set in bytes after the imports, and after some
training steps.
"""

import json
import sys

import scratchgpt as sg
from benchmarks.memory_probe import peak_bytes
from benchmarks.models import ROWS, Row
from benchmarks.our_steps import training_step

MODELS = {
    "12x6x384": Row(sg.GPTConfig(65, 256, 12, 6, 384), 4),
    "12x12x768": ROWS["12x12x768"],
}


def main() -> None:
    """Look, take the steps, look again."""
    row, recompute, threads, steps = sys.argv[1:]
    imported = peak_bytes()
    step = training_step(MODELS[row], int(threads), bool(int(recompute)))
    for _ in range(int(steps)):
        step()
    print(json.dumps({"imported": imported, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
