"""How long is a training step? scratchgpt and PyTorch take turns, on the same number of threads.

python -m benchmarks.train_step   # every model, and two of them with other batch sizes
python -m benchmarks.train_step --models 780 4x4x128 --no-compile --no-sweep --no-json
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from benchmarks import peers
from benchmarks.elsewhere import INTEL_TRAIN_STEP
from benchmarks.engine_process import EngineFailed, EngineProcess, take_turns_apart
from benchmarks.models import ROWS, Row, matmul_flops
from benchmarks.plots import log_log
from benchmarks.program import Benchmark, Options, Parser, Picture, add_models, add_turns, run
from benchmarks.rates import matmul_rate
from benchmarks.results import Content
from benchmarks.tables import Table, ratio_text, verdict
from benchmarks.timing import median, spread

TURNS = {"780": 12, "4x4x128": 24, "6x6x384": 12, "12x12x768": 6}
TURN_SECONDS = 1.0  # of our turns, about: short, because a machine's speed drifts
MAX_TURN_STEPS = 200
TRIAL_STEPS = 3  # that are timed to find out how many steps fit into a turn
TARGETS = {"780": 2.0, "4x4x128": 1.2, "6x6x384": 1.3, "12x12x768": 1.3}
SWEEPS = {"4x4x128": [1, 2, 4, 8, 16, 32, 64], "6x6x384": [4, 16, 64]}
SWEEP_TURNS = 4
FLOAT32_PEERS = ("PyTorch", "PyTorch compiled")  # that the ratio is taken to
PEERS = (*FLOAT32_PEERS, "PyTorch bfloat16")
ENGINES = ("scratchgpt", *PEERS)


def start(
    row: Row, threads: int, engines: Sequence[str], console: Console, stack: ExitStack
) -> dict[str, EngineProcess]:
    """Return a process for each engine that works here, after its first step; the stack closes them."""
    processes = {}
    for engine in engines:
        try:
            processes[engine] = stack.enter_context(closing(EngineProcess(engine, row, threads)))
        except EngineFailed as error:
            if engine != "PyTorch compiled":
                raise
            console.print(f"Left out, torch.compile does not work on this machine: {error}", markup=False)
    return processes


def measure_row(row: Row, threads: int, turns: int, engines: Sequence[str], console: Console) -> Content:
    """Return a row's entry in the JSON file: its size, and the seconds of each timed step by engine."""
    with ExitStack() as stack:
        processes = start(row, threads, engines, console, stack)
        trial = median(processes["scratchgpt"].turn(TRIAL_STEPS))
        steps = min(MAX_TURN_STEPS, max(1, round(TURN_SECONDS / trial)))
        seconds = take_turns_apart(processes, turns, steps)
    return {
        "parameters": row.n_params,
        "batch_size": row.batch_size,
        "block_size": row.config.block_size,
        "tokens": row.n_tokens,
        "flops": matmul_flops(row),
        "seconds": seconds,
    }


def measure(options: Options, console: Console) -> Content:
    """Measure the models, and some of them with other batch sizes."""
    with_torch = peers.are_installed(["torch"], console)
    theirs = [engine for engine in PEERS if not (options.no_compile and engine == "PyTorch compiled")]
    engines = ["scratchgpt", *(theirs if with_torch else [])]
    sgemm = matmul_rate(options.threads)
    figures: Content = {"rows": {}, "sweeps": {}}
    for name in options.models:
        console.print(f"{name} ...")
        turns = options.turns or TURNS[name]
        figures["rows"][name] = measure_row(ROWS[name], options.threads, turns, engines, console)
    for name, batches in SWEEPS.items() if not options.no_sweep else ():
        figures["sweeps"][name] = {}
        for batch in batches:
            console.print(f"{name} with a batch of {batch} ...")
            row = ROWS[name]._replace(batch_size=batch)
            turns = options.turns or SWEEP_TURNS
            figures["sweeps"][name][str(batch)] = measure_row(
                row, options.threads, turns, engines[:2], console
            )
    figures["sgemm"] = max(sgemm, matmul_rate(options.threads))  # the machine's better moment
    return figures


def add_options(parser: Parser) -> None:
    """Add which models, engines and batch sizes to measure."""
    add_models(parser, ROWS, at_least=0)
    add_turns(parser, None)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which is slow")
    parser.add_argument("--no-sweep", action="store_true", help="leave out the other batch sizes")


def ratio(row: Content, engines: Sequence[str] = FLOAT32_PEERS) -> float | None:
    """Return the median step of the fastest of these peers by ours; None if none was measured."""
    theirs = [median(row["seconds"][engine]) for engine in engines if engine in row["seconds"]]
    return min(theirs) / median(row["seconds"]["scratchgpt"]) if theirs else None


def tables(content: Content) -> list[Table]:
    """Return the table of the models, and one for the batch sizes of each swept model."""
    rows = content["rows"]
    engines = [engine for engine in ENGINES if any(engine in row["seconds"] for row in rows.values())]
    lines = []
    for name, row in rows.items():
        floor = row["flops"] / content["sgemm"]
        lines.append(
            [
                name,
                f"{row['parameters']:,}",
                f"{row['batch_size']}, {row['block_size']}",
                *_milliseconds(row, engines),
                ratio_text(ratio(row)),
                f"{TARGETS[name]:.1f}" if name in TARGETS else "–",
                f"{floor * 1e3:.2f}",
                f"{floor / median(row['seconds']['scratchgpt']):.0%}",
            ]
        )
    columns = ["model", "parameters", "B, T", *engines, "ratio", "target", "floor", "share"]
    title = f"Milliseconds per training step on {content['threads']} threads: median, quartiles below"
    verdicts = [
        verdict("PyTorch in float32", {name: ratio(row) for name, row in rows.items()}),
        verdict(
            "PyTorch with bfloat16 autocast",
            {name: ratio(row, ["PyTorch bfloat16"]) for name, row in rows.items()},
        ),
    ]
    note = (
        f"{' '.join(filter(None, verdicts))} All ratios hold for this machine only. "
        "ratio: the median of PyTorch in float32, eager or compiled, whichever is faster, divided by ours. "
        "floor: the step's matrix products at the rate of NumPy's sgemm on this machine, "
        f"{content['sgemm'] / 1e9:.0f} GFLOP/s. share: floor divided by our step. bfloat16 is less exact and "
        "not part of the ratio."
    )
    sweeps = [_sweep_table(name, sweep, content["sgemm"]) for name, sweep in content["sweeps"].items()]
    return [Table(title, columns, lines, note.strip()), *sweeps]


def _milliseconds(row: Content, engines: Sequence[str]) -> list[str]:
    seconds = row["seconds"]
    return [spread(seconds[engine], 1e3).text(2) if engine in seconds else "–" for engine in engines]


def _sweep_table(name: str, sweep: Content, sgemm: float) -> Table:
    engines = list(next(iter(sweep.values()))["seconds"])
    lines = [
        [
            batch,
            f"{row['tokens']:,}",
            *_milliseconds(row, engines),
            ratio_text(ratio(row)),
            f"{row['flops'] / sgemm * 1e3:.2f}",
        ]
        for batch, row in sweep.items()
    ]
    title = f"Milliseconds per training step of {name}, by batch size"
    behind = verdict("PyTorch", {f"B = {batch}": ratio(row) for batch, row in sweep.items()})
    note = f"{behind} As above, but with PyTorch in eager mode only."
    return Table(title, ["B", "tokens", *engines, "ratio", "floor"], lines, note.strip())


def draw(content: Content, folder: Path) -> list[Picture]:
    """Draw step time against model size, and against tokens per batch."""
    pictures = []
    named = sorted(content["rows"].items(), key=lambda item: item[1]["parameters"])
    if len(named) > 1:
        path = folder / "train-step-models.png"
        names = [f"{name}\nB={row['batch_size']}, T={row['block_size']}" for name, row in named]
        _draw(path, "parameters", "parameters", [row for _, row in named], content, names)
        caption = "Step time by number of parameters; B and T are batch size and block size"
        pictures.append(Picture(path, caption))
    for name, sweep in content["sweeps"].items():
        path = folder / f"train-step-{name}.png"
        _draw(path, "tokens per batch", "tokens", list(sweep.values()), content, [])
        pictures.append(Picture(path, f"Step time of {name} by tokens in the batch"))
    return pictures


def _draw(path: Path, x_label: str, x: str, rows: list[Content], content: Content, names: list[str]) -> None:
    lines = {}
    for engine in ENGINES:
        points = [(row[x], median(row["seconds"][engine]) * 1e3) for row in rows if engine in row["seconds"]]
        if points:
            lines[engine] = ([point[0] for point in points], [point[1] for point in points])
    floor = ([row[x] for row in rows], [row["flops"] / content["sgemm"] * 1e3 for row in rows])
    log_log(path, x_label, "milliseconds per training step", lines, floor, content["machine"], names)


BENCHMARK = Benchmark(
    "train_step",
    "How long is a training step?",
    "A step is forward, backward, clipping and AdamW on one batch in float32. PyTorch has the same "
    "weights, `scaled_dot_product_attention` and fused AdamW; compiled, its whole loss is one compiled "
    "function. Each engine runs in its own process, as people run it, with the same number of threads. The "
    f"engines take turns of about a second, 1 to {MAX_TURN_STEPS} steps, after a pause and a step that is "
    "not timed, while the others wait. (In one process PyTorch would profit from scratchgpt's settings of "
    "the system's allocator.)",
    measure,
    tables,
    draw,
    add_options,
    elsewhere=(INTEL_TRAIN_STEP,),
)

if __name__ == "__main__":
    run(BENCHMARK)
