"""One engine's training step on a GPU in its own process, which works when it is told to.

python -m benchmarks.gpu.engine_server ENGINE KIND WORKLOAD [--emulated]

KIND and WORKLOAD are what `benchmarks.engines.encode` returns for a row. After the first few steps the
program prints a line of JSON; then it answers each line of input, a number of steps, with the seconds of one
step, the loss and the peak memory. Everything else that is printed goes to the error stream.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.engines import decode
from benchmarks.gpu.engines import Engine, make
from benchmarks.gpu.job import emulate, one_line
from benchmarks.models import Row

WARM_UP = 3  # steps before the first answer: a graph is recorded in the second one


def serve(name: str, row: Row, emulated: bool, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the answers: one after the first steps, then one for each line."""
    try:
        engine = make(name, row, emulated)
        for _ in range(WARM_UP - 1):
            engine.step()
        engine.wait()
        yield {"seconds": seconds_per_step(engine, 1), "peak": engine.peak()}
    except Exception as error:  # torch.compile raises whatever the compiler behind it raised
        out_of_memory = "OutOfMemory" in type(error).__name__
        yield {"failed": one_line(error), "out_of_memory": out_of_memory}
        return
    for line in lines:
        engine.step()
        engine.wait()
        seconds = seconds_per_step(engine, int(line))
        answer = {"seconds": seconds, "loss": engine.loss(), "peak": engine.peak()}
        gc.collect()
        engine.release()
        yield answer


def seconds_per_step(engine: Engine, steps: int) -> float:
    """Take some steps and return the mean seconds of one; waits for the device only at the end."""
    started = time.perf_counter()
    for _ in range(steps):
        engine.step()
    engine.wait()
    return (time.perf_counter() - started) / steps


def main() -> None:
    """Serve the engine that the command line names."""
    name, kind, fields = sys.argv[1:4]
    emulated = "--emulated" in sys.argv
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    if emulated:
        emulate()
    row = decode(kind, fields)
    assert isinstance(row, Row)
    for answer in serve(name, row, emulated, iter(sys.stdin)):
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
