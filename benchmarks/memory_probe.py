"""The peak memory of some calls of an engine, measured in a fresh process.

python -m benchmarks.memory_probe ENGINE THREADS KIND WORKLOAD CALLS

ENGINE, KIND and WORKLOAD are those of `benchmarks.engine_server`. The program prints as JSON the peak of the
resident set in bytes, after the imports and after the calls.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.engines import decode, encode, load
from benchmarks.models import Workload
from benchmarks.results import ROOT


def probe(engine: str, workload: Workload, threads: int, calls: int) -> dict[str, int]:
    """Return "imported" and "peak" of a fresh process: bytes after the imports, and after some calls."""
    arguments = [engine, str(threads), *encode(workload), str(calls)]
    command = [sys.executable, "-m", "benchmarks.memory_probe", *arguments]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def peak_bytes() -> int:
    """Return the high-water mark of this process's resident set.

    Linux keeps it as VmHWM. The ru_maxrss of getrusage would not do: a child inherits its parent's.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        resource = importlib.import_module("resource")  # Windows has neither
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS
    fields = dict(line.split(":", 1) for line in status if ":" in line)
    return int(fields["VmHWM"].split()[0]) * 1024


def main() -> None:
    """Import the engine, note the peak, make the calls, print both peaks."""
    engine, threads, kind, fields, calls = sys.argv[1:]
    workload = decode(kind, fields)
    make = load(type(workload), engine)
    imported = peak_bytes()
    call = make(workload, int(threads))
    for _ in range(int(calls)):
        call()
    print(json.dumps({"imported": imported, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
