"""Is the GPU backend correct, and how fast is it? All checks and measurements, within a time budget.

python -m benchmarks.gpu
python -m benchmarks.gpu --only checks,speed.124M --budget 300 --out gpu.json
python -m benchmarks.gpu --emulated --out emulated.json   # without a GPU: does this program work?

Every task runs in its own process and gets a share of the remaining time. If one fails, hangs or has no time
left, the reason is recorded and the next one starts. The figures are written after every task.
"""

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.job import Job, LeftOut, emulate, one_line, say
from benchmarks.gpu.runner import run_tasks
from benchmarks.gpu.tasks import TASKS, Task, chosen, failed_checks, function_of
from benchmarks.machine import describe
from benchmarks.program import positive
from benchmarks.results import RESULTS, Content, write_json
from scratchgpt.errors import InputError
from scratchgpt.utils.files import load_json, make_folder

BUDGET = 540  # seconds
RESULT = RESULTS / "gpu.json"
PROGRAM = "python -m benchmarks.gpu"


def run_here(name: str, path: Path, seconds: float, emulated: bool) -> None:
    """Do the work of a task in this process; exit with 1 and a message if it cannot be done."""
    try:
        job = Job(path, seconds, emulated)
        function_of(name)(job)
    except (LeftOut, InputError) as error:
        print(one_line(error), file=sys.stderr)
        sys.exit(1)


def gpu() -> Content:
    """Return name, memory and compute capability of the GPU, and the versions of CuPy and CUDA.

    Raises:
        InputError: there is no GPU, or CuPy is not installed.
    """
    from scratchgpt.backends.cupy.device import find_device  # noqa: PLC0415 - after the emulator

    device = find_device()
    cupy: Any = importlib.import_module("cupy")
    return {
        "gpu": device.name,
        "gpu_memory": device.memory,
        "capability": list(device.capability),
        "cupy": cupy.__version__,
        "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
        "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
    }


def earlier(path: Path, machine: Content) -> Content:
    """Return the tasks in an earlier file of figures; none if machine or versions differ."""
    if not path.exists():
        return {}
    content = load_json(path)
    expected = {key: value for key, value in machine.items() if key not in ("date", "busy_cores")}
    is_same = all(content["machine"].get(key) == value for key, value in expected.items())
    tasks: Content = content["tasks"] if is_same and not content.get("emulated") else {}
    return tasks


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, after checking that they fit together; `tasks` are the chosen tasks."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Check and measure the GPU backend within a time budget.",
        epilog=f"Tasks: {', '.join(task.name for task in TASKS)}",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--budget",
        type=positive,
        default=BUDGET,
        help="seconds for all tasks together (default: %(default)s)",
    )
    parser.add_argument(
        "--only", metavar="NAMES", help="parts or tasks, separated by commas; other figures are kept"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="another file to write the figures to")
    parser.add_argument(
        "--emulated",
        action="store_true",
        help="emulate a GPU and use tiny models, to test this program; needs --out",
    )
    parser.add_argument("--task", help=argparse.SUPPRESS)  # this is the process of one task
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.emulated and options.out is None:
        parser.error("--emulated needs --out FILE: its figures do not describe a GPU")
    if options.emulated and options.out.resolve().is_relative_to(RESULTS):
        parser.error(
            f"--out {options.out} is in {RESULTS.name}/; --emulated needs a file outside that folder"
        )
    try:
        options.tasks = chosen(options.only)
        if options.out is not None:
            make_folder(options.out.parent)
    except InputError as error:
        parser.error(str(error))
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Run the chosen tasks; exit with 1 if a check failed, with 2 if there is no GPU."""
    options = parse_options(argv)
    if options.task:
        run_here(options.task, options.out, options.seconds, options.emulated)
        return
    if options.emulated:
        emulate()
    try:
        machine = {**describe(), **gpu()}
    except InputError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        sys.exit(2)
    paths = ([] if options.emulated else [RESULT]) + ([options.out] if options.out else [])
    emulated = ["--emulated"] if options.emulated else []
    only = [f"--only={options.only}"] if options.only else []
    called = " ".join([PROGRAM, *map(shlex.quote, [*only, *emulated])])
    content: Content = {
        "machine": machine,
        "emulated": options.emulated,
        "budget": options.budget,
        "tasks": earlier(paths[0], machine) if options.only else {},
    }

    def save(name: str, found: Content) -> None:
        content["tasks"][name] = {**found, "command": called}
        for path in paths:
            write_json(path, content)

    def command(task: Task, result: Path, seconds: float) -> list[str]:
        flags = [f"--task={task.name}", f"--out={result}", f"--seconds={seconds}", *emulated]
        return [sys.executable, "-m", "benchmarks.gpu", *flags]

    run_tasks(options.tasks, options.budget, command, save)
    say("\n".join(f"wrote {path}" for path in paths))
    done = {task.name: content["tasks"][task.name] for task in options.tasks}
    unfinished = [f"{name}: {task['reason']}" for name, task in done.items() if task["reason"] is not None]
    failures = failed_checks(done)
    say("\n".join([f"tasks: {len(done)}, unfinished: {len(unfinished)}", *unfinished]))
    say("\n".join(failures) or "no check failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
