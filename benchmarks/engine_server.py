"""One engine's training step or generation in its own process, which works when it is told to.

python -m benchmarks.engine_server ENGINE THREADS KIND WORKLOAD

KIND and WORKLOAD are what `benchmarks.engines.encode` returns. After a first call the program prints
`{"ready": result}` with what that call returned, or `{"failed": reason}`. Then it answers each line of
input, a number n, with the seconds of n calls as a JSON list; one more call before them is not timed.
"""

import json
import sys
import time

from benchmarks.engines import decode, load


def main() -> None:
    """Make the first call, then a turn for each line of input."""
    engine, threads, kind, fields = sys.argv[1:]
    workload = decode(kind, fields)
    try:
        call = load(type(workload), engine)(workload, int(threads))
        first = call()
    except Exception as error:  # torch.compile raises whatever the compiler behind it raised
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
