"""One engine's training step, in a process of its own that takes a turn when it is told to.

python -m benchmarks.step_server ENGINE THREADS ROW

ROW is JSON: a configuration's fields and the batch size. Answers each line of input, a number of steps,
with the seconds of so many steps as a JSON list, after one that is not timed. The first answer,
`{"ready": ""}`, comes once a first step has been taken; `{"failed": reason}` if it could not be.
"""

import importlib
import json
import sys
import time
from typing import Any, NamedTuple

from benchmarks.models import Row
from scratchgpt.config import GPTConfig


class Engine(NamedTuple):
    """Which module takes the step, with which options."""

    module: str
    options: dict[str, Any]


ENGINES = {
    "scratchgpt": Engine("our_steps", {}),
    "PyTorch": Engine("torch_steps", {}),
    "PyTorch compiled": Engine("torch_steps", {"compiled": True}),
    "PyTorch bfloat16": Engine("torch_steps", {"bfloat16": True}),
}


def main() -> None:
    """Take the first step, then a turn for each line of input."""
    engine, threads, text = sys.argv[1:]
    fields = json.loads(text)
    row = Row(GPTConfig.from_dict(fields["config"]), fields["batch_size"])
    module, options = ENGINES[engine]
    try:
        step = importlib.import_module(f"benchmarks.{module}").training_step(row, int(threads), **options)
        step()
    except Exception as error:  # torch.compile raises whatever the compiler behind it did
        print(json.dumps({"failed": str(error).strip().split("\n")[0] or type(error).__name__}), flush=True)
        return
    print(json.dumps({"ready": ""}), flush=True)
    for line in sys.stdin:
        step()
        seconds = []
        for _ in range(int(line)):
            started = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - started)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
