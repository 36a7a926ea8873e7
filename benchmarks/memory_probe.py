"""One measurement of memory, in a process of its own.

python -m benchmarks.memory_probe ROW ENGINE THREADS STEPS

Prints as JSON the peak of the resident set in bytes after the imports, and after some training steps.
"""

import importlib
import json
import sys
from pathlib import Path

from benchmarks.models import ROWS

ENGINES = {"scratchgpt": "our_steps", "PyTorch": "torch_steps"}


def peak_bytes() -> int:
    """Return the high-water mark of this process's resident set.

    Linux keeps it as VmHWM. getrusage's ru_maxrss would not do there: a child begins with its parent's.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        resource = importlib.import_module("resource")  # Windows has neither
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS
    fields = dict(line.split(":", 1) for line in status if ":" in line)
    return int(fields["VmHWM"].split()[0]) * 1024


def main() -> None:
    """Import the engine, look, take the steps, look again."""
    row, engine, threads, steps = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.{ENGINES[engine]}")
    imported = peak_bytes()
    step = module.training_step(ROWS[row], int(threads))
    for _ in range(int(steps)):
        step()
    print(json.dumps({"imported": imported, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
