"""Write docs/benchmarks.md with its plots, and docs/gpu.md, from the JSON files of the benchmarks.

python -m benchmarks.report
"""

from pathlib import Path

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
from benchmarks.machine import load_by_others, long_name, short_name
from benchmarks.program import Benchmark, Parser, new_console
from benchmarks.results import RESULTS, ROOT, Content
from scratchgpt.utils.files import atomic_path, load_json, make_folder

BENCHMARKS = [
    module.BENCHMARK
    for module in (
        train_step, time_to_loss, generate, scaling, memory, kernels, tokenizer, prepare, checkpointing,
        adaptive_softmax,
    )
]  # fmt: skip
INTRODUCTION = """\
# Benchmarks

How fast scratchgpt is on a CPU compared with PyTorch and other libraries, and what limits it.
`python -m benchmarks.report` writes this page from the JSON files in `benchmarks/results/`; every figure
comes from there, except in the two tables that quote another machine and say so.
`pip install -e '.[bench]'` installs the libraries that scratchgpt is compared with.

**Every ratio on this page holds only for the machine named next to it:** {machines}, except in those two
tables. On an Intel machine PyTorch is ahead in three of four rows of the table of training steps; its figures
are quoted below ours. The note below each table says in which rows scratchgpt is behind.
"""


def section(benchmark: Benchmark, content: Content, images: Path) -> str:
    """Return a benchmark's section of the page, and draw its plots into the folder of images."""
    machine = short_name(content["machine"])
    first, *others = [table.markdown().rstrip() for table in benchmark.tables_with_machine(content)]
    parts = [
        f"## {benchmark.title}",
        benchmark.method,
        f"```\n{content['command']}\n```",
        f"Measured on {long_name(content['machine'])}. {load_by_others(content['machine'])}".strip(),
        first,
        *[table.markdown().rstrip() for table in benchmark.elsewhere],
        *others,
        *[
            f"![{picture.caption}]({images.name}/{picture.path.name})\n\n*{picture.caption} ({machine}).*"
            for picture in benchmark.draw(content, images)
        ],
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write docs/benchmarks.md with a section for each JSON file that exists, and docs/gpu.md."""
    parser = Parser(
        prog="python -m benchmarks.report",
        description="Write docs/benchmarks.md with its plots, and docs/gpu.md, from the JSON files.",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "docs" / "benchmarks.md",
        help="page to write; gpu.md is written to the same folder",
    )
    options = parser.parse_args()
    console = new_console()
    contents: list[tuple[Benchmark, Content]] = []
    for benchmark in BENCHMARKS:
        path = options.results / f"{benchmark.name}.json"
        if path.exists():
            contents.append((benchmark, load_json(path)))
        else:
            console.print(f"left out: {benchmark.name}, which {benchmark.command} measures")
    if not contents:
        parser.error(f"{options.results} has no results; run a benchmark first, or pass --results FOLDER")
    images = make_folder(options.out.parent / "images")
    machines = " and ".join(dict.fromkeys(short_name(content["machine"]) for _, content in contents))
    sections = [section(benchmark, content, images) for benchmark, content in contents]
    with atomic_path(options.out) as temporary:
        temporary.write_text("\n".join([INTRODUCTION.format(machines=machines), *sections]), encoding="utf-8")
    gpu_page = options.out.parent / "gpu.md"
    write_gpu_page(options.results, gpu_page)
    for path in (options.out, gpu_page):
        console.print(f"wrote {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
