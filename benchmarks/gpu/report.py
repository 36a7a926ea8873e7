"""Writes docs/gpu.md: what was checked and measured on a GPU, from the figures of `benchmarks.gpu`."""

from pathlib import Path

from benchmarks.gpu import targets
from benchmarks.gpu.sections import SECTIONS, not_measured
from benchmarks.results import Content
from scratchgpt.utils.files import atomic_path, load_json

COMMAND = "python -m benchmarks.gpu"
INTRODUCTION = """\
# On a GPU

Whether the `cupy` backend computes correctly on a GPU, and how fast it is compared with PyTorch on the same
card. `python -m benchmarks.report` writes this page from `benchmarks/results/gpu.json`; every figure comes
from there, and holds for the GPU named next to it."""
NO_FIGURES = f"""\
**No figures have been measured on a GPU yet**, so this page makes no claims. On a machine with an NVIDIA GPU
this command measures them in at most nine minutes:

```
{COMMAND}
```

PyTorch with CUDA and transformers are measured as well, where they are installed."""


def write_page(results: Path, page: Path) -> None:
    """Write the page from gpu.json and gpu-kernels.md in the folder of results, as far as they exist."""
    figures, kernels = results / "gpu.json", results / "gpu-kernels.md"
    content = load_json(figures) if figures.exists() else None
    table = kernels.read_text(encoding="utf-8") if kernels.exists() else None
    with atomic_path(page) as temporary:
        temporary.write_text(page_text(content, table), encoding="utf-8")


def page_text(content: Content | None, kernels: str | None) -> str:
    """Return the page's text. Figures of the emulator count as none."""
    parts = [INTRODUCTION]
    if content is None or content.get("emulated"):
        parts.append(NO_FIGURES)
    else:
        parts += _figures(content)
    if kernels is not None:
        parts += [
            "## What each kernel needs",
            "Registers, spilled bytes and shared memory, as NVIDIA's compiler reports them: "
            "`python -m tests.gpu_emulation.compile_kernels --markdown`, which needs CuPy but no GPU.",
            kernels,
        ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _figures(content: Content) -> list[str]:
    """Return the parts of the page that show figures."""
    gpu = content["machine"]["gpu"]
    parts = [_measured_on(content), targets.table(content["tasks"])._replace(machine=gpu).markdown()]
    for section in SECTIONS:
        tables = section.tables(content)
        if tables:
            parts += [f"## {section.heading}", *[table._replace(machine=gpu).markdown() for table in tables]]
    reasons = not_measured(content)
    return [*parts, "## What was not measured, and why", "\n".join(reasons)] if reasons else parts


def _measured_on(content: Content) -> str:
    """Return the commands, the dates and the machine."""
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
    """Return CUDA's version 12090 as "12.9"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _peer(name: str, version: str | None) -> str:
    return f"{name} {version}" if version else f"no {name}"
