"""How much memory does training take: ours beside PyTorch's, each measurement in a fresh process.

python -m benchmarks.memory
python -m benchmarks.memory --rows 780 4x4x128 --repeats 1 --no-json
"""

import json
import subprocess
import sys

from benchmarks import peers
from benchmarks.memory_probe import ENGINES
from benchmarks.models import ROWS
from benchmarks.program import (
    ROOT,
    Benchmark,
    Content,
    new_console,
    options_of,
    positive,
    publish,
    read_options,
)
from benchmarks.tables import Table, ratio_text
from benchmarks.timing import median

MIB = 2**20
STEPS, REPEATS = 3, 3


def probe(row: str, engine: str, threads: int, steps: int = STEPS) -> dict[str, int]:
    """Return the peak of a fresh process's memory in bytes after the imports, and after some steps."""
    command = [sys.executable, "-m", "benchmarks.memory_probe", row, engine, str(threads), str(steps)]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def above_imports(probes: list[dict[str, int]]) -> float:
    """Return the median of what training took on top of the imports."""
    return median([each["peak"] - each["imported"] for each in probes])


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    for name, engines in content["rows"].items():
        taken = {engine: above_imports(probes) for engine, probes in engines.items()}
        imported = {
            engine: median([each["imported"] for each in probes]) for engine, probes in engines.items()
        }
        cells = [
            f"{taken[engine] / MIB:,.1f}\n+ {imported[engine] / MIB:,.0f}" if engine in taken else "–"
            for engine in ENGINES
        ]
        ratio = taken["PyTorch"] / taken["scratchgpt"] if "PyTorch" in taken else None
        lines.append([name, *cells, ratio_text(ratio), "1.0"])
    title = f"MiB that a few training steps take at their peak, on {content['threads']} threads"
    note = (
        "Below, the interpreter with its libraries imported, which is not counted above. "
        "ratio: PyTorch's MiB by ours, without imports; above 1, ours is the smaller."
    )
    return [Table(title, ["model", *ENGINES, "ratio", "target"], lines, note)]


BENCHMARK = Benchmark(
    "memory",
    "How much memory does training take?",
    f"The high-water mark of the resident set of a fresh process that takes {STEPS} training steps, weights, "
    "gradients and AdamW's moments included, less the mark after the imports; the median of several "
    "processes. PyTorch runs eagerly.",
    tables,
)


def main() -> None:
    """Measure the rows."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="which models")
    parser.add_argument("--repeats", type=positive, default=REPEATS, help="processes of each engine")
    options = read_options(parser)
    console = new_console()
    engines = ["scratchgpt", *(["PyTorch"] if peers.are_installed(["torch"], console) else [])]
    rows: Content = {}
    for name in options.rows:
        console.print(f"model {name} ...", highlight=False)
        rows[name] = {engine: [] for engine in engines}
        for _ in range(options.repeats):
            for engine in engines:
                rows[name][engine].append(probe(name, engine, options.threads))
    publish(BENCHMARK, {"rows": rows}, options, console)


if __name__ == "__main__":
    main()
