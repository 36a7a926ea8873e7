"""What does an adaptive softmax gain at a large vocabulary, over one softmax of all words?

python -m benchmarks.adaptive_softmax
python -m benchmarks.adaptive_softmax --turns 2 --no-json
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np

import scratchgpt as sg
from benchmarks.memory_probe import peak_bytes
from benchmarks.program import Benchmark, Content, new_console, options_of, positive, publish, read_options
from benchmarks.tables import Table
from benchmarks.timing import median, spread, take_turns
from scratchgpt.ops.adaptive_softmax import assign
from scratchgpt.shapes import Tokens

TURNS = 5
MEMORY_STEPS = 3
BATCH_SIZE = 8
MIB = 2**20
UNTIED = sg.GPTConfig(32_000, block_size=128, n_layer=2, n_head=4, n_embd=256, tie_weights=False)
HEADS = {
    "one softmax, tied": replace(UNTIED, tie_weights=True),
    "one softmax": UNTIED,
    "adaptive, 2000 and 10000": replace(UNTIED, adaptive_cutoffs=(2_000, 10_000)),
    "adaptive, 4000": replace(UNTIED, adaptive_cutoffs=(4_000,)),
}


def zipf_batch() -> tuple[Tokens, Tokens]:
    """Return a step's tokens and targets, always the same; id n is drawn in proportion to 1 / (n + 1)."""
    weights = 1.0 / np.arange(1, UNTIED.vocab_size + 1)
    shape = (BATCH_SIZE, UNTIED.block_size + 1)
    tokens = np.random.default_rng(0).choice(UNTIED.vocab_size, size=shape, p=weights / weights.sum())
    return tokens[:, :-1], tokens[:, 1:]


def training_step(head: str, threads: int) -> Callable[[], float]:
    """Return a function that takes one step (forward, backward, clipping, AdamW) and returns the loss."""
    backend = sg.get_backend("numpy", threads)
    model = sg.GPT(HEADS[head])
    params = model.init()
    optimizer = sg.AdamW(params, backend=backend)
    x, y = zipf_batch()

    def step() -> float:
        loss, grads = sg.loss_and_grads(model, params, x, y, backend=backend)
        sg.clip_grad_norm(grads, 1.0)
        optimizer.step(grads)
        return loss

    return step


def probe(head: str, threads: int) -> dict[str, int]:
    """Return this process's peak of memory in bytes before it has a model, and after some steps."""
    imported = peak_bytes()
    step = training_step(head, threads)
    for _ in range(MEMORY_STEPS):
        step()
    return {"imported": imported, "peak": peak_bytes()}


def in_fresh_process(head: str, threads: int) -> dict[str, int]:
    """Return `probe` of a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(probe, head, threads).result()


def shares(head: str) -> list[int]:
    """Return how many targets of the batch are of the head, and of each tail."""
    _, targets = zipf_batch()
    cutoffs = (*(HEADS[head].adaptive_cutoffs or ()), UNTIED.vocab_size)
    _, tails = assign(targets, cutoffs)
    in_tails = [tail.rows.size for tail in tails]
    return [targets.size - sum(in_tails), *in_tails]


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    whole = median(content["heads"]["one softmax"]["step"])
    for name, figures in content["heads"].items():
        lines.append(
            [
                name,
                spread(figures["step"], 1e3).text(0),
                f"{whole / median(figures['step']):.2f}",
                f"{(figures['memory']['peak'] - figures['memory']['imported']) / MIB:,.0f}",
                f"{figures['n_params']:,}",
                " + ".join(map(str, figures["targets"])),
            ]
        )
    title = (
        f"2 layers of 256 channels, 32,000 words, {BATCH_SIZE} texts of 128 tokens, on {content['threads']} "
        "threads: median, quartiles below"
    )
    note = (
        "step: milliseconds of forward, backward, clipping and AdamW. speed-up: the step of one untied "
        f"softmax by this one. MiB: the peak of a fresh process that takes {MEMORY_STEPS} steps, less what "
        "the imports take. targets: of the head, then of each tail."
    )
    columns = ["head", "step", "speed-up", "MiB", "parameters", "targets"]
    return [Table(title, columns, lines, note)]


BENCHMARK = Benchmark(
    "adaptive_softmax",
    "What does an adaptive softmax gain?",
    "Training steps of a small model with a large vocabulary, whose head is one softmax or an adaptive one, "
    "on random ids whose probabilities go as 1 / (id + 1) (Zipf). All take turns in one process; memory is "
    "that of a process for each.",
    tables,
)


def main() -> None:
    """Measure every head."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--turns", type=positive, default=TURNS, help="of each head")
    options = read_options(parser)
    steps = {head: training_step(head, options.threads) for head in HEADS}
    seconds = take_turns(steps, options.turns)
    heads: Content = {
        head: {
            "step": seconds[head],
            "memory": in_fresh_process(head, options.threads),
            "n_params": sg.GPT(config).size,
            "targets": shares(head),
        }
        for head, config in HEADS.items()
    }
    publish(BENCHMARK, {"heads": heads}, options, new_console())


if __name__ == "__main__":
    main()
