"""How much memory does training take, compared with PyTorch? Each measurement runs in a fresh process.

python -m benchmarks.memory
python -m benchmarks.memory --models 780 4x4x128 --repeats 1 --no-json
"""

from rich.console import Console

from benchmarks import peers
from benchmarks.memory_probe import probe
from benchmarks.models import ROWS
from benchmarks.program import Benchmark, Options, Parser, add_models, add_repeats, run
from benchmarks.results import Content
from benchmarks.tables import Table, ratio_text, verdict
from benchmarks.timing import median

MIB = 2**20
STEPS, REPEATS = 3, 3
ENGINES = ("scratchgpt", "PyTorch")


def above_imports(probes: list[dict[str, int]]) -> float:
    """Return the median of the bytes that training took in addition to the imports."""
    return median([each["peak"] - each["imported"] for each in probes])


def measure(options: Options, console: Console) -> Content:
    """Measure the models."""
    engines = ENGINES if peers.are_installed(["torch"], console) else ENGINES[:1]
    rows: Content = {}
    for name in options.models:
        console.print(f"{name} ...")
        rows[name] = {engine: [] for engine in engines}
        for _ in range(options.repeats):
            for engine in engines:
                rows[name][engine].append(probe(engine, ROWS[name], options.threads, STEPS))
    return {"rows": rows}


def add_options(parser: Parser) -> None:
    """Add which models to measure, and how often."""
    add_models(parser, ROWS)
    add_repeats(parser, REPEATS)


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    ratios: dict[str, float | None] = {}
    for name, engines in content["rows"].items():
        taken = {engine: above_imports(probes) for engine, probes in engines.items()}
        imported = {
            engine: median([each["imported"] for each in probes]) for engine, probes in engines.items()
        }
        cells = [
            f"{taken[engine] / MIB:,.1f}\n+ {imported[engine] / MIB:,.0f}" if engine in taken else "–"
            for engine in ENGINES
        ]
        ratios[name] = taken["PyTorch"] / taken["scratchgpt"] if "PyTorch" in taken else None
        lines.append([name, *cells, ratio_text(ratios[name]), "1.0"])
    title = f"Peak memory of {STEPS} training steps in MiB, on {content['threads']} threads"
    note = (
        f"{verdict('PyTorch', ratios)} Second line: the interpreter with the imported libraries, which the "
        "first line leaves out. ratio: PyTorch's first line divided by ours; above 1, scratchgpt takes less."
    )
    return [Table(title, ["model", *ENGINES, "ratio", "target"], lines, note.strip())]


BENCHMARK = Benchmark(
    "memory",
    "How much memory does training take?",
    f"The high-water mark of the resident set of a fresh process that takes {STEPS} training steps, with "
    "weights, gradients and AdamW's moments, minus the mark after the imports; the median of several "
    "processes. PyTorch runs in eager mode.",
    measure,
    tables,
    add_options=add_options,
)

if __name__ == "__main__":
    run(BENCHMARK)
