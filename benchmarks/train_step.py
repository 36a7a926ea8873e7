"""How long is a training step: ours beside PyTorch's, taking turns, on the same number of threads.

python -m benchmarks.train_step                              every row and the sweeps over batches
python -m benchmarks.train_step --rows 780 4x4x128 --no-compile --no-sweep --no-json
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from benchmarks import peers
from benchmarks.engine_process import EngineFailed, EngineProcess, take_turns_apart
from benchmarks.engine_server import ENGINES
from benchmarks.models import ROWS, Row, matmul_flops
from benchmarks.plots import log_log
from benchmarks.program import (
    Benchmark,
    Content,
    Picture,
    new_console,
    options_of,
    positive,
    publish,
    read_options,
)
from benchmarks.rates import matmul_rate
from benchmarks.tables import Table, ratio_text
from benchmarks.timing import median, spread

TURNS = {"780": 12, "4x4x128": 24, "6x6x384": 12, "12x12x768": 6}
TURN_SECONDS = 1.0  # of a turn of ours, about: short turns, because a machine's speed drifts
MOST_STEPS = 200  # of a turn
TRIAL_STEPS = 3  # that tell how many steps make a turn
TARGETS = {"780": 2.0, "4x4x128": 1.2, "6x6x384": 1.3, "12x12x768": 1.3}
SWEEPS = {"4x4x128": [1, 2, 4, 8, 16, 32, 64], "6x6x384": [4, 16, 64]}
SWEEP_TURNS = 4
PEERS = [engine for engine in ENGINES[Row] if engine != "scratchgpt"]
IN_TARGET = ("PyTorch", "PyTorch compiled")  # float32, as ours


def start(
    row: Row, threads: int, engines: Sequence[str], console: Console, stack: ExitStack
) -> dict[str, EngineProcess]:
    """Return a process for each engine that works here, which the stack closes; each has taken one step."""
    processes = {}
    for engine in engines:
        try:
            processes[engine] = stack.enter_context(closing(EngineProcess(engine, row, threads)))
        except EngineFailed as error:
            if engine != "PyTorch compiled":
                raise
            console.print(f"torch.compile does not work here and is left out: {error}", markup=False)
    return processes


def measure_row(row: Row, threads: int, turns: int, engines: Sequence[str], console: Console) -> Content:
    """Return what the JSON file says of a row: its size, and the seconds of each timed step by engine."""
    with ExitStack() as stack:
        processes = start(row, threads, engines, console, stack)
        trial = median(processes["scratchgpt"].turn(TRIAL_STEPS))
        seconds = take_turns_apart(processes, turns, min(MOST_STEPS, max(1, round(TURN_SECONDS / trial))))
    return {
        "parameters": row.n_params,
        "batch_size": row.batch_size,
        "block_size": row.config.block_size,
        "tokens": row.n_tokens,
        "flops": matmul_flops(row),
        "seconds": seconds,
    }


def ratio(row: Content) -> float | None:
    """Return the median of the fastest float32 peer by ours, or None without a peer."""
    theirs = [median(row["seconds"][engine]) for engine in IN_TARGET if engine in row["seconds"]]
    return min(theirs) / median(row["seconds"]["scratchgpt"]) if theirs else None


def tables(content: Content) -> list[Table]:
    """Return the table of the rows, and one for each model's batches."""
    engines = ["scratchgpt", *PEERS]
    engines = [each for each in engines if any(each in row["seconds"] for row in content["rows"].values())]
    lines = []
    for name, row in content["rows"].items():
        cells = [
            spread(row["seconds"][engine], 1e3).text(2) if engine in row["seconds"] else "–"
            for engine in engines
        ]
        floor = row["flops"] / content["sgemm"]
        lines.append(
            [
                name,
                f"{row['parameters']:,}",
                f"{row['batch_size']}, {row['block_size']}",
                *cells,
                ratio_text(ratio(row)),
                f"{TARGETS[name]:.1f}" if name in TARGETS else "–",
                f"{floor * 1e3:.2f}",
                f"{floor / median(row['seconds']['scratchgpt']):.0%}",
            ]
        )
    columns = ["model", "parameters", "B, T", *engines, "ratio", "target", "floor", "share"]
    title = f"Milliseconds per training step on {content['threads']} threads: median, quartiles below"
    note = (
        "ratio: the faster of PyTorch in float32, eager or compiled, by ours. floor: the step's matrix "
        f"products at the rate of NumPy's sgemm here, {content['sgemm'] / 1e9:.0f} GFLOP/s. share: floor by "
        "our step. "
        "bfloat16 is less exact arithmetic and not part of the target."
    )
    sweeps = [_sweep_table(name, sweep, content["sgemm"]) for name, sweep in content["sweeps"].items()]
    return [Table(title, columns, lines, note), *sweeps]


def _sweep_table(name: str, sweep: Content, sgemm: float) -> Table:
    engines = list(next(iter(sweep.values()))["seconds"])
    lines = [
        [
            batch,
            f"{row['tokens']:,}",
            *[spread(row["seconds"][engine], 1e3).text(2) for engine in engines],
            ratio_text(ratio(row)),
            f"{row['flops'] / sgemm * 1e3:.2f}",
        ]
        for batch, row in sweep.items()
    ]
    title = f"Milliseconds per training step of {name}, by batch"
    return Table(title, ["B", "tokens", *engines, "ratio", "floor"], lines, "As above; PyTorch eager only.")


def draw(content: Content, folder: Path) -> list[Picture]:
    """Draw step time against model size, and against tokens per batch."""
    pictures = []
    named = sorted(content["rows"].items(), key=lambda item: item[1]["parameters"])
    rows = [row for _, row in named]
    if len(rows) > 1:
        path = folder / "train-step-models.png"
        names = [f"{name}\nB={row['batch_size']}, T={row['block_size']}" for name, row in named]
        _draw(path, "parameters", "parameters", rows, content["sgemm"], names)
        pictures.append(
            Picture(path, "Step time against the number of parameters; B and T are the row's batch")
        )
    for name, sweep in content["sweeps"].items():
        path = folder / f"train-step-{name}.png"
        _draw(path, "tokens per batch", "tokens", list(sweep.values()), content["sgemm"], [])
        pictures.append(Picture(path, f"Step time of {name} against the tokens in a batch"))
    return pictures


def _draw(path: Path, x_label: str, x: str, rows: list[Content], sgemm: float, names: list[str]) -> None:
    lines = {}
    for engine in ("scratchgpt", *PEERS):
        points = [(row[x], median(row["seconds"][engine]) * 1e3) for row in rows if engine in row["seconds"]]
        if points:
            lines[engine] = ([point[0] for point in points], [point[1] for point in points])
    floor = ([row[x] for row in rows], [row["flops"] / sgemm * 1e3 for row in rows])
    log_log(path, x_label, "milliseconds per training step", lines, floor, names)


BENCHMARK = Benchmark(
    "train_step",
    "How long is a training step?",
    "A step is forward, backward, clipping and AdamW on one batch in float32. PyTorch has the same weights, "
    "scaled_dot_product_attention and fused AdamW; compiled, its whole loss is one compiled function. Each "
    "engine has a process of its own, as people run them, and as many threads as the others; they take "
    f"turns of about a second, 1 to {MOST_STEPS} steps, after a pause and a step that is not timed, while "
    "the others wait. (In one process PyTorch would profit from what our backend tells the system's "
    "allocator.)",
    tables,
    draw,
)


def main() -> None:
    """Measure the rows and the batches."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS), help="which models")
    parser.add_argument("--turns", type=positive, help="of each engine; default: depends on the row")
    parser.add_argument(
        "--no-compile", action="store_true", help="leave out torch.compile, which takes a while"
    )
    parser.add_argument("--no-sweep", action="store_true", help="leave out the sweeps over batches")
    options = read_options(parser)
    console = new_console()
    with_torch = peers.are_installed(["torch"], console)
    theirs = [engine for engine in PEERS if not (options.no_compile and engine == "PyTorch compiled")]
    engines = ["scratchgpt", *(theirs if with_torch else [])]
    sgemm = matmul_rate(options.threads)
    figures: Content = {"rows": {}, "sweeps": {}}
    for name in options.rows:
        console.print(f"model {name} ...", highlight=False)
        turns = options.turns or TURNS[name]
        row = measure_row(ROWS[name], options.threads, turns, engines, console)
        figures["rows"][name] = row
    for name, batches in SWEEPS.items() if not options.no_sweep else ():
        figures["sweeps"][name] = {}
        for batch in batches:
            console.print(f"{name}, batch of {batch} ...", highlight=False)
            model = Row(ROWS[name].config, batch)
            turns = options.turns or SWEEP_TURNS
            row = measure_row(model, options.threads, turns, engines[:2], console)
            figures["sweeps"][name][str(batch)] = row
    figures["sgemm"] = max(sgemm, matmul_rate(options.threads))  # the better moment of the machine
    publish(BENCHMARK, figures, options, console)


if __name__ == "__main__":
    main()
