"""The sections of docs/gpu.md, each from the figures of some tasks; empty without figures."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.gpu.tasks import figures_of
from benchmarks.results import Content
from benchmarks.tables import Table
from benchmarks.timing import median, spread

PEAKS = {  # dense TFLOP/s as NVIDIA states them, by a part of the card's name
    "H200": {"bf16": 989.0, "tf32": 494.5},
    "H100": {"bf16": 989.0, "tf32": 494.5},
    "A100": {"bf16": 312.0, "tf32": 156.0},
}
OTHER_FORMS = ("PCIe", "NVL")  # of these cards, whose peaks differ
LISTED_KERNELS = 15  # of a profile; the rest are added up


class Section(NamedTuple):
    """A heading and its tables."""

    heading: str
    tables: Callable[[Content], list[Table]]  # from the content of gpu.json


def _figures(content: Content, part: str) -> Iterator[tuple[str, Content]]:
    """Yield the rest of the name, and the figures, of each task of a part that has figures."""
    for name, task in content["tasks"].items():
        if name.startswith(f"{part}.") and task["figures"]:
            yield name.removeprefix(f"{part}."), task["figures"]


def checks(content: Content) -> list[Table]:
    """Return the table of the checks' outcomes."""
    tasks = content["tasks"]
    rows: list[list[str]] = []
    found = figures_of(tasks, "checks.tests")
    if found:
        counts = ", ".join(f"{n} {outcome}" for outcome, n in found["counts"].items())
        failures = "".join(f"\n{name}" for name in found["failures"])
        rows.append(["GPU tests", counts + ("" if found["finished"] else ", then stopped") + failures])
    for name, each in (figures_of(tasks, "checks.sanitizer") or {}).items():
        if name == "plain":
            rows.append(["every kernel once", each["end"][-1] if each["end"] else "–"])
        else:
            errors = "did not finish" if each["errors"] is None else f"{each['errors']} errors"
            rows.append([f"compute-sanitizer {name}", errors])
    found = figures_of(tasks, "checks.repeatable")
    for name, each in (found or {}).items():
        if isinstance(each, dict):
            rows.append([f"{found['steps']} steps, {name}" if found else name, _compared(each)])
    found = figures_of(tasks, "checks.curve")
    for name, largest in (found["largest"] if found else {}).items():
        if name != "numpy float32" and found:
            what = f"loss over {found['steps']} steps, {name} compared with numpy float32"
            rows.append([what, f"largest difference {largest:.2g} nats"])
    note = (
        "Steps train a small model with dropout; losses and weights are compared bit for bit. The loss curve "
        "is that of a model with 4 layers, 4 heads and 128 channels on the embedded fables, with the same "
        "dropout masks on both sides."
    )
    return [Table("Checks", ["check", "outcome"], rows, note)] if rows else []


def _compared(each: Content) -> str:
    if not each["finite"]:
        return "**not finite**"
    if each["equal"]:
        return "equal"
    return f"**differ**: losses by {each['loss_difference']:.2g}, weights by {each['weight_difference']:.2g}"


def peak_flops(gpu: str, precision: str) -> float | None:
    """Return the card's dense peak in FLOP/s for a precision, or None where it is not known."""
    if any(form in gpu for form in OTHER_FORMS):
        return None
    known = next((peaks for name, peaks in PEAKS.items() if name in gpu), {})
    return 1e12 * known[precision] if precision in known else None


def speed(content: Content) -> list[Table]:
    """Return the table of training steps."""
    rows = []
    for name, figures in _figures(content, "speed"):
        model = name.rpartition(".")[0]
        for engine, seconds in figures["seconds"].items():
            rate = figures["tokens"] / median(seconds)
            peak = peak_flops(content["machine"]["gpu"], _precision(engine))
            rows.append(
                [
                    f"{model}, {figures['batch_size']} × {figures['block_size']}",
                    engine,
                    spread(seconds, 1e3).text(3),
                    f"{rate:,.0f}",
                    f"{rate * figures['flops_per_token'] / peak:.1%}" if peak else "–",
                    _gibibytes(figures["peak"].get(engine, {})),
                ]
            )
    columns = ["model, batch", "engine", "ms per step", "tokens/s", "MFU", "peak GiB"]
    note = (
        "Median and quartiles over the turns that the engines took, several steps each; the host waits for "
        "the device only at the ends of a turn. A step is forward, backward, clipping and AdamW, without "
        "dropout. scratchgpt uploads its batch in every step; PyTorch's batch is on the device already. "
        "PyTorch runs with `F.scaled_dot_product_attention`, fused AdamW, and autocast for bf16; compile "
        "time is not counted. No engine pads the vocabulary. MFU (model FLOPs utilization): (6 N + 12 L T "
        "C) FLOP per token, N the parameters without the position embeddings, divided by the card's dense "
        "peak for the precision. peak GiB: for scratchgpt what the memory pools held, reserve included; for "
        "PyTorch what its tensors took at most, and below it with the reserve."
    )
    return [Table("Training steps", columns, rows, note)] if rows else []


def _gibibytes(peak: Content) -> str:
    """Return the peak of an engine's device memory, one line for each way it is counted."""
    held = [f"{peak[key] / 2**30:.2f}" for key in ("pools", "allocated", "reserved") if key in peak]
    return "\n".join(held) or "–"


def _precision(engine: str) -> str:
    """Return the precision in an engine's name."""
    return next(precision for precision in ("bf16", "tf32", "float32") if precision in engine)


def recipe(content: Content) -> list[Table]:
    """Return the table of nanoGPT's recipe."""
    rows = []
    for engine, found in sorted(_figures(content, "recipe"), reverse=True):  # scratchgpt first
        if found["steps"]:
            steps = str(found["steps"][-1]) + ("" if found["finished"] else ", then stopped")
            rows.append([engine, f"{found['best_val_loss']:.4f}", steps, f"{found['wall_seconds']:.0f}"])
    columns = ["engine", "best validation loss", "steps", "seconds"]
    note = (
        "`configs/shakespeare.yaml` on Tiny Shakespeare, one seed, bf16; the best validation loss in nats "
        "per character over the whole held-out text. scratchgpt is `train.py --backend cupy --precision bf16 "
        "--graph true`; PyTorch runs eagerly. The seconds are those of the whole program, evaluations "
        "included."
    )
    return [Table("The recipe for a GPU", columns, rows, note)] if rows else []


def generation(content: Content) -> list[Table]:
    """Return the table of generation."""
    rows = []
    for model, figures in _figures(content, "generation"):
        for name, seconds in figures["seconds"].items():
            engine, batch = name.rsplit(", ", 1)
            rate = int(batch) * figures["new_tokens"] / median(seconds)
            rows.append([model, engine, batch, f"{rate:,.0f}"])
    note = (
        "256 tokens after a prompt of one token, sampled from all tokens, with a KV cache; the median of a "
        "few turns."
    )
    columns = ["model", "engine", "texts at once", "tokens/s"]
    return [Table("New tokens per second", columns, rows, note)] if rows else []


def profile(content: Content) -> list[Table]:
    """Return a table of kernels for each model."""
    return [_profile_table(model, figures) for model, figures in _figures(content, "profile")]


def _profile_table(model: str, figures: Content) -> Table:
    whole, kernels = figures["milliseconds"], figures["kernels"]
    rows = [
        _profile_row(kernel["name"], f"{kernel['count']:.0f}", kernel["milliseconds"], whole)
        for kernel in kernels[:LISTED_KERNELS]
    ]
    rest = kernels[LISTED_KERNELS:]
    products = [each for each in kernels if str(each["name"]).startswith("product ")]
    for label, some in ((f"the other {len(rest)}", rest), ("all matrix products", products)):
        count = f"{sum(each['count'] for each in some):.0f}"
        rows.append(_profile_row(label, count, sum(each["milliseconds"] for each in some), whole))
    gaps = whole - sum(each["milliseconds"] for each in kernels)
    rows.append(_profile_row("CuPy's own kernels, and gaps", "–", gaps, whole))
    title = f"{model}, batch of {figures['batch_size']}: {whole:.2f} ms"
    note = f"Mean of {figures['steps']} steps in bf16 without a graph. A product is rows × inner × columns."
    return Table(title, ["kernel", "count", "ms", "share"], rows, note)


def _profile_row(name: str, count: str, milliseconds: float, whole: float) -> list[str]:
    return [name, count, f"{milliseconds:.3f}", f"{milliseconds / whole:.1%}"]


SECTIONS = [
    Section("Is it correct?", checks),
    Section("How long is a training step?", speed),
    Section("nanoGPT's recipe", recipe),
    Section("How fast is text generated?", generation),
    Section("Where does a step's time go?", profile),
]


def not_measured(content: Content) -> list[str]:
    """Return an item of a list for each task or engine that has no complete figures, with the reason."""
    tasks: dict[str, Any] = content["tasks"]
    lines = [f"- `{name}`: {task['reason']}" for name, task in tasks.items() if task["reason"]]
    for name, task in tasks.items():
        left_out = (task["figures"] or {}).get("left_out", {})
        lines += [f"- `{name}`, {engine}: {reason}" for engine, reason in left_out.items()]
    return lines
