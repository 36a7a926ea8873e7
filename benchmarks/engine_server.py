"""One engine's training step or text, in a process of its own that takes a turn when it is told to.

python -m benchmarks.engine_server KIND ENGINE THREADS JOB

KIND is the name of the job's class, JOB its fields as JSON. Answers each line of input, a number of calls,
with the seconds of so many calls as a JSON list, after one that is not timed. The first answer,
`{"ready": result}`, comes once a first call has returned that result; `{"failed": reason}` if it could not.
"""

import importlib
import json
import sys
import time
from typing import Any, NamedTuple

from benchmarks.models import Job, Row, Writing
from scratchgpt.config import GPTConfig


class Engine(NamedTuple):
    """Which function of which module makes, from job, threads and these options, the call that is timed."""

    module: str
    function: str
    options: dict[str, Any]


ENGINES: dict[type[Job], dict[str, Engine]] = {
    Row: {
        "scratchgpt": Engine("our_steps", "training_step", {}),
        "PyTorch": Engine("torch_steps", "training_step", {}),
        "PyTorch compiled": Engine("torch_steps", "training_step", {"compiled": True}),
        "PyTorch bfloat16": Engine("torch_steps", "training_step", {"bfloat16": True}),
    },
    Writing: {
        "scratchgpt": Engine("our_writer", "greedy", {}),
        "transformers": Engine("hf_gpt2", "greedy", {}),
    },
}
KINDS = {kind.__name__: kind for kind in ENGINES}


def main() -> None:
    """Make the first call, then take a turn for each line of input."""
    kind, engine, threads, text = sys.argv[1:]
    fields = json.loads(text)
    job = KINDS[kind](**{**fields, "config": GPTConfig.from_dict(fields["config"])})
    module, function, options = ENGINES[type(job)][engine]
    try:
        call = getattr(importlib.import_module(f"benchmarks.{module}"), function)(
            job, int(threads), **options
        )
        first = call()
    except Exception as error:  # torch.compile raises whatever the compiler behind it did
        print(json.dumps({"failed": str(error).strip().split("\n")[0] or type(error).__name__}), flush=True)
        return
    print(json.dumps({"ready": first}, default=float), flush=True)  # PyTorch's loss is a tensor
    for line in sys.stdin:
        call()
        seconds = []
        for _ in range(int(line)):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
