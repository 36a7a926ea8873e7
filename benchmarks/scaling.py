"""How much faster is a training step on more threads?

python -m benchmarks.scaling   # 6x6x384 on 1, 2, 4, ... threads, up to all cores
python -m benchmarks.scaling --model 4x4x128 --turns 2 --no-json
"""

from rich.console import Console

from benchmarks import our_steps
from benchmarks.models import ROWS, Row
from benchmarks.program import Benchmark, Options, Parser, add_turns, run
from benchmarks.results import Content
from benchmarks.tables import Table
from benchmarks.timing import median, spread, take_turns

TURNS, STEPS = 6, 2  # many short turns, because a machine's speed drifts
TARGET = 1.8  # speed-up from one thread to two


def thread_counts(most: int) -> list[int]:
    """Return the powers of two below `most`, and `most`."""
    return [*(2**i for i in range(most.bit_length()) if 2**i < most), most]


def seconds_by_threads(row: Row, threads: list[int], turns: int) -> dict[str, list[float]]:
    """Return the seconds of each timed step, by the number of threads."""
    steps = {str(n): our_steps.training_step(row, n) for n in threads}
    return take_turns(steps, turns, STEPS)


def measure(options: Options, console: Console) -> Content:
    """Measure one model with several numbers of threads."""
    seconds = seconds_by_threads(ROWS[options.model], thread_counts(options.threads), options.turns)
    return {"model": options.model, "seconds": seconds}


def add_options(parser: Parser) -> None:
    """Add which model to measure, and how often."""
    parser.add_argument("--model", choices=list(ROWS), default="6x6x384", help="default: %(default)s")
    add_turns(parser, TURNS, "number of threads")


def tables(content: Content) -> list[Table]:
    """Return the table."""
    alone = median(content["seconds"]["1"])
    lines = [
        [
            threads,
            spread(seconds, 1e3).text(1),
            f"{alone / median(seconds):.2f}",
            f"{TARGET:.1f}" if threads == "2" else "–",
        ]
        for threads, seconds in content["seconds"].items()
    ]
    title = f"Milliseconds per training step of {content['model']}: median, quartiles below"
    note = "speed-up: the median with one thread divided by the median with this number of threads."
    return [Table(title, ["threads", "step", "speed-up", "target"], lines, note)]


BENCHMARK = Benchmark(
    "scaling",
    "How much faster are more threads?",
    "The training step of the first table with `get_backend('numpy', threads)`; the numbers of threads take "
    "turns in one process.",
    measure,
    tables,
    add_options=add_options,
)

if __name__ == "__main__":
    run(BENCHMARK)
