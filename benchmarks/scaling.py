"""How much faster is a training step on more threads?

python -m benchmarks.scaling                 6x6x384 on 1, 2, 4, ... threads, up to all cores
python -m benchmarks.scaling --row 4x4x128 --turns 2 --no-json
"""

from benchmarks import our_steps
from benchmarks.models import ROWS, Row
from benchmarks.program import Benchmark, Content, new_console, options_of, positive, publish, read_options
from benchmarks.tables import Table
from benchmarks.timing import median, spread, take_turns

TURNS, STEPS = 6, 2  # many short turns, because a machine's speed drifts
TARGET = 1.8  # speed-up from one thread to two


def thread_counts(most: int) -> list[int]:
    """Return 1, 2, 4, ... and the most."""
    return [*(2**i for i in range(most.bit_length()) if 2**i < most), most]


def measure(row: Row, threads: list[int], turns: int) -> dict[str, list[float]]:
    """Return the seconds of each timed step, by the number of threads."""
    steps = {str(n): our_steps.training_step(row, n) for n in threads}
    return take_turns(steps, turns, STEPS)


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
    note = "speed-up: the median of one thread by that of so many."
    return [Table(title, ["threads", "step", "speed-up", "target"], lines, note)]


BENCHMARK = Benchmark(
    "scaling",
    "What do more threads bring?",
    "The training step of the first table with `get_backend('numpy', threads)`, taking turns in one process.",
    tables,
)


def main() -> None:
    """Measure one model with several numbers of threads."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--row", choices=list(ROWS), default="6x6x384", help="which model")
    parser.add_argument("--turns", type=positive, default=TURNS, help="of each number of threads")
    options = read_options(parser)
    console = new_console()
    seconds = measure(ROWS[options.row], thread_counts(options.threads), options.turns)
    publish(BENCHMARK, {"model": options.row, "seconds": seconds}, options, console)


if __name__ == "__main__":
    main()
