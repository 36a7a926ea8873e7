"""Write docs/benchmarks.md, with its plots, and docs/gpu.md from the JSON files that the benchmarks left.

python -m benchmarks.report
"""

import argparse
from pathlib import Path

from rich.console import Console

from benchmarks import (
    adaptive_softmax,
    checkpointing,
    generate,
    kernels,
    memory,
    prepare,
    scaling,
    time_to_loss,
    tokenizer,
    train_step,
)
from benchmarks.gpu.report import write_page as write_gpu_page
from benchmarks.program import BUSY, RESULTS, ROOT, Benchmark, Content
from scratchgpt.utils.files import atomic_path, load_json, make_folder

BENCHMARKS = [
    module.BENCHMARK
    for module in (
        train_step, time_to_loss, generate, scaling, memory, kernels, tokenizer, prepare, checkpointing,
        adaptive_softmax,
    )
]  # fmt: skip
LIBRARIES = {"python": "Python", "numpy": "NumPy", "torch": "PyTorch", "transformers": "transformers"}
INTRODUCTION = """\
# Benchmarks

How fast scratchgpt is beside its peers on a CPU, and what limits it. `python -m benchmarks.report` writes
this page from the files in `benchmarks/results/`; every figure comes from there. The peers come with
`pip install -e '.[bench]'`.
"""


def section(benchmark: Benchmark, content: Content, images: Path) -> str:
    """Return a benchmark's part of the page, and draw its plots into the folder of images."""
    parts = [
        f"## {benchmark.title}",
        benchmark.method,
        f"```\n{content['command']}\n```",
        _where(content["machine"]),
        *[table.markdown().rstrip() for table in benchmark.tables(content)],
        *[
            f"![{picture.caption}]({images.name}/{picture.path.name})\n\n*{picture.caption}.*"
            for picture in benchmark.draw(content, images)
        ],
    ]
    return "\n\n".join(parts) + "\n"


def _where(machine: Content) -> str:
    """Return when and on what the figures were measured."""
    busy = machine["busy_cores"]
    others = "" if busy is None else f" Other programs kept {busy:.1f} cores busy meanwhile."
    if busy is not None and busy > BUSY:
        others += " **That slows PyTorch more than us: these figures are not to be quoted.**"
    libraries = [f"{name} {machine[key]}" for key, name in LIBRARIES.items() if machine.get(key)]
    return (
        f"Measured on {machine['date']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}, {', '.join(libraries)}.{others}"
    )


def main() -> None:
    """Write the page with a section for each JSON file that is there, and the page on GPUs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of the JSON files")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "benchmarks.md", help="the page; gpu.md goes beside it"
    )
    options = parser.parse_args()
    console = Console()
    images = make_folder(options.out.parent / "images")
    sections = []
    for benchmark in BENCHMARKS:
        path = options.results / f"{benchmark.name}.json"
        if path.exists():
            sections.append(section(benchmark, load_json(path), images))
        else:
            console.print(f"left out: {benchmark.name}, until python -m benchmarks.{benchmark.name} has run")
    if not sections:
        parser.error(f"{options.results} holds no results; expected JSON files such as train_step.json")
    with atomic_path(options.out) as temporary:
        temporary.write_text("\n".join([INTRODUCTION, *sections]), encoding="utf-8")
    gpu_page = options.out.parent / "gpu.md"
    write_gpu_page(options.results, gpu_page)
    for path in (options.out, gpu_page):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
