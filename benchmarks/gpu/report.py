"""docs/gpu.md: what was checked and measured on a GPU, from the figures of `python -m benchmarks.gpu`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.program import Content
from benchmarks.tables import Table, ratio_text
from benchmarks.timing import median, spread
from scratchgpt.utils.files import load_json

COMMAND = "python -m benchmarks.gpu"
INTRODUCTION = """\
# On a GPU

Whether the `cupy` backend computes the right thing on a GPU, and how fast it is beside PyTorch on the same
card. `python -m benchmarks.report` writes this page from `benchmarks/results/gpu.json`; every figure comes
from there."""
NOTHING = f"""\
**No figures have been measured on a GPU yet**, so this page claims nothing. This command, on a machine with
an NVIDIA GPU, measures them in nine minutes or less:

```
{COMMAND}
```

PyTorch with CUDA and transformers, where they are installed, are measured beside ours."""
PEAKS = {  # dense TFLOP/s as NVIDIA states them, by a part of the card's name
    "H200": {"bf16": 989.0, "tf32": 494.5},
    "H100": {"bf16": 989.0, "tf32": 494.5},
    "A100": {"bf16": 312.0, "tf32": 156.0},
}
OTHER_FORMS = ("PCIe", "NVL")  # of a card in the table, with other peaks
RECIPE_LOSS = 1.4697
TOP = 15  # kernels that are listed
OURS = {"bf16": "scratchgpt bf16", "tf32": "scratchgpt tf32"}


def write_page(results: Path, page: Path) -> None:
    """Write the page from gpu.json and gpu-kernels.md in the folder of results, as far as they are there."""
    figures, kernels = results / "gpu.json", results / "gpu-kernels.md"
    content = load_json(figures) if figures.exists() else None
    table = kernels.read_text(encoding="utf-8") if kernels.exists() else None
    page.write_text(text_of(content, table), encoding="utf-8")


def text_of(content: Content | None, kernels: str | None) -> str:
    """Return the page. Figures of the emulator count as none."""
    parts = [INTRODUCTION]
    if content is None or content.get("emulated"):
        parts.append(NOTHING)
    else:
        tasks = content["tasks"]
        parts += [_where(content), _targets(tasks).markdown()]
        sections: list[Callable[[], list[str]]] = [
            lambda: _checks(tasks),
            lambda: _speed(tasks, content["machine"]["gpu"]),
            lambda: _recipe(tasks),
            lambda: _generation(tasks),
            lambda: _profile(tasks),
            lambda: _unfinished(tasks),
        ]
        parts += [part for section in sections for part in section()]
    if kernels is not None:
        parts += [
            "## What each kernel needs",
            "Registers, spilled bytes and shared memory, as NVIDIA's compiler reports them: "
            "`python -m tests.gpu_emulation.compile_kernels --markdown`. This takes CuPy, but no GPU.",
            kernels,
        ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _where(content: Content) -> str:
    machine = content["machine"]
    commands = "\n".join(dict.fromkeys(task["command"] for task in content["tasks"].values()))
    dates = sorted({task["date"] for task in content["tasks"].values()})
    return (
        f"```\n{commands}\n```\n\nMeasured on {' and '.join(dates)}: {machine['gpu']} "
        f"({machine['gpu_memory'] / 2**30:.0f} GiB), {machine['cores']} cores of {machine['processor']}, "
        f"Python {machine['python']}, NumPy {machine['numpy']}, CuPy {machine['cupy']}, "
        f"CUDA {_version(machine['cuda_runtime'])} (driver {_version(machine['cuda_driver'])}), "
        f"{_peer('PyTorch', machine['torch'])}, {_peer('transformers', machine['transformers'])}."
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _peer(name: str, version: str | None) -> str:
    return f"{name} {version}" if version else f"no {name}"


def figures_of(tasks: Content, name: str) -> Content | None:
    """Return what a task found, or None."""
    figures: Content | None = tasks.get(name, {}).get("figures")
    return figures


def ratio(tasks: Content, row: str, group: str, theirs: str, ours: str) -> float | None:
    """Return how many times faster our step is, by medians; None where one of both was not measured."""
    figures = figures_of(tasks, f"speed.{row}.{group}")
    if figures is None or not {theirs, ours} <= set(figures["seconds"]):
        return None
    return median(figures["seconds"][theirs]) / median(figures["seconds"][ours])


def _targets(tasks: Content) -> Table:
    """Return what was aimed at, and what was measured."""
    rows = []
    for what, target, measured in (
        ("6x6x384 bf16, times PyTorch eager", 1.5, _bf16(tasks, "6x6x384", "PyTorch bf16")),
        ("6x6x384 bf16, times torch.compile", 1.0, _bf16(tasks, "6x6x384", "torch.compile bf16")),
        ("124M bf16, times PyTorch eager", 1.0, _bf16(tasks, "124M", "PyTorch bf16")),
        (
            "780 parameters, TF32, times PyTorch eager",
            5.0,
            ratio(tasks, "780", "float32", "PyTorch tf32", OURS["tf32"]),
        ),
    ):
        is_met = None if measured is None else measured >= target
        rows.append([what, f"{target:.1f} or more", ratio_text(measured), _met(is_met)])
    recipe = figures_of(tasks, "recipe.scratchgpt") or {}
    loss = recipe.get("best_val_loss")
    is_met = loss <= RECIPE_LOSS if loss is not None and recipe["finished"] else None
    measured_loss = "–" if loss is None else f"{loss:.4f}"
    rows.append(["recipe, best validation loss", f"{RECIPE_LOSS} or less", measured_loss, _met(is_met)])
    note = "times: the other engine's median step time by ours. –: not measured."
    return Table("Targets", ["what", "target", "measured", "met"], rows, note)


def _bf16(tasks: Content, row: str, theirs: str) -> float | None:
    return ratio(tasks, row, "bf16", theirs, OURS["bf16"])


def _met(is_met: bool | None) -> str:
    return {True: "yes", False: "**no**", None: "not known"}[is_met]


def _checks(tasks: Content) -> list[str]:
    """Return the section on correctness."""
    rows: list[list[str]] = []
    found = figures_of(tasks, "checks.tests")
    if found:
        counts = ", ".join(f"{n} {outcome}" for outcome, n in found["counts"].items())
        failures = "".join(f"\n{name}" for name in found["failures"])
        rows.append(["the GPU tests", counts + ("" if found["finished"] else ", then stopped") + failures])
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
            what = f"loss over {found['steps']} steps, {name} against numpy float32"
            rows.append([what, f"largest difference {largest:.2g} nats"])
    if not rows:
        return []
    note = (
        "The steps train a small model with dropout, and compare losses and weights bit for bit. The loss "
        "curve is that of a model with 4 layers, 4 heads and 128 channels on the embedded fables, with the "
        "same dropout masks on both sides."
    )
    return ["## Is it right?", Table("Checks", ["check", "outcome"], rows, note).markdown()]


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


def _speed(tasks: Content, gpu: str) -> list[str]:
    """Return the section on training steps."""
    rows = []
    for name, task in tasks.items():
        figures = task["figures"]
        if not name.startswith("speed.") or not figures:
            continue
        model = name.removeprefix("speed.").rpartition(".")[0]
        for engine, seconds in figures["seconds"].items():
            rate = figures["tokens"] / median(seconds)
            peak = peak_flops(gpu, _precision(engine))
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
    if not rows:
        return []
    columns = ["model, batch", "engine", "ms per step", "tokens/s", "MFU", "peak GiB"]
    note = (
        "Median and quartiles over the turns that the engines took, several steps each; the device is waited "
        "for at the ends of a turn only. A step is forward, backward, clipping and AdamW, without dropout. "
        "Ours takes its batch from the host in every step, PyTorch's lies on the device already. PyTorch "
        "computes with `F.scaled_dot_product_attention`, fused AdamW, and autocast for bf16; compiling is "
        "not counted. "
        "No engine pads the vocabulary. MFU: (6 N + 12 L T C) FLOP per token, N the parameters without the "
        "position embeddings, by the card's dense peak for the precision. peak GiB: what our memory pools "
        "held, reserve included; what PyTorch's tensors took at most, and below it with the reserve."
    )
    return ["## How long is a training step?", Table("Training step", columns, rows, note).markdown()]


def _gibibytes(peak: Content) -> str:
    """Return what an engine's process took of the device's memory."""
    held = [f"{peak[key] / 2**30:.2f}" for key in ("pools", "allocated", "reserved") if key in peak]
    return "\n".join(held) or "–"


def _precision(engine: str) -> str:
    """Return the precision that an engine's name says."""
    return next(precision for precision in ("bf16", "tf32", "float32") if precision in engine)


def _recipe(tasks: Content) -> list[str]:
    """Return the section on the recipe."""
    rows = []
    for engine in ("scratchgpt", "PyTorch"):
        found = figures_of(tasks, f"recipe.{engine}")
        if found and found["steps"]:
            steps = str(found["steps"][-1]) + ("" if found["finished"] else ", then stopped")
            rows.append([engine, f"{found['best_val_loss']:.4f}", steps, f"{found['wall_seconds']:.0f}"])
    if not rows:
        return []
    columns = ["engine", "best validation loss", "steps", "seconds"]
    note = (
        "`configs/shakespeare.yaml` on Tiny Shakespeare, one seed, bf16; the best validation loss in nats "
        "per character over the whole held-out text. Ours is `train.py --backend cupy --precision bf16 "
        "--graph true`; PyTorch is eager. The seconds are those of the whole program, evaluations included."
    )
    return ["## nanoGPT's recipe", Table("The recipe for a GPU", columns, rows, note).markdown()]


def _generation(tasks: Content) -> list[str]:
    """Return the section on generation."""
    rows = []
    for name, task in tasks.items():
        figures = task["figures"]
        if not name.startswith("generation.") or not figures:
            continue
        for writer, seconds in figures["seconds"].items():
            engine, batch = writer.rsplit(", ", 1)
            rate = int(batch) * figures["new_tokens"] / median(seconds)
            rows.append([name.removeprefix("generation."), engine, batch, f"{rate:,.0f}"])
    if not rows:
        return []
    note = "256 tokens after a prompt of one, sampled among all, with a KV cache; the median of a few turns."
    return [
        "## How fast is text written?",
        Table(
            "New tokens per second", ["model", "engine", "texts at once", "tokens/s"], rows, note
        ).markdown(),
    ]


def _profile(tasks: Content) -> list[str]:
    """Return the section on kernels."""
    tables = []
    for name, task in tasks.items():
        figures = task["figures"]
        if not name.startswith("profile.") or not figures:
            continue
        whole = figures["milliseconds"]
        measured = sum(kernel["milliseconds"] for kernel in figures["kernels"])
        rows = [_profile_row(kernel, whole) for kernel in figures["kernels"][:TOP]]
        rest = figures["kernels"][TOP:]
        for label, kernels in (
            (f"the other {len(rest)}", rest),
            ("all matrix products together", [each for each in figures["kernels"] if _is_product(each)]),
        ):
            count = sum(each["count"] for each in kernels)
            total = sum(each["milliseconds"] for each in kernels)
            rows.append(_profile_row({"name": label, "count": count, "milliseconds": total}, whole))
        gaps: dict[str, Any] = {
            "name": "CuPy's own kernels, and gaps",
            "count": 0,
            "milliseconds": whole - measured,
        }
        rows.append([*_profile_row(gaps, whole)[:1], "–", *_profile_row(gaps, whole)[2:]])
        title = f"{name.removeprefix('profile.')}, batch of {figures['batch_size']}: {whole:.2f} ms"
        note = (
            f"Mean of {figures['steps']} steps in bf16 without a graph. A product is rows × inner × columns."
        )
        tables.append(Table(title, ["kernel", "count", "ms", "share"], rows, note).markdown())
    return ["## Where does a step's time go?", *tables] if tables else []


def _is_product(kernel: Content) -> bool:
    return str(kernel["name"]).startswith("product ")


def _profile_row(kernel: Content, whole: float) -> list[str]:
    milliseconds = kernel["milliseconds"]
    return [kernel["name"], f"{kernel['count']:.0f}", f"{milliseconds:.3f}", f"{milliseconds / whole:.1%}"]


def _unfinished(tasks: Content) -> list[str]:
    """Return the section on what was not measured, and why."""
    lines = [f"- `{name}`: {task['reason']}" for name, task in tasks.items() if task["reason"]]
    for name, task in tasks.items():
        left_out = (task["figures"] or {}).get("left_out", {})
        lines += [f"- `{name}`, {engine}: {reason}" for engine, reason in left_out.items()]
    return ["## What was not measured, and why", "\n".join(lines)] if lines else []
