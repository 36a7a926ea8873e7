"""Is the GPU backend right, and how fast is it? All checks and measurements in one call, within a budget.

python -m benchmarks.gpu
python -m benchmarks.gpu --only checks,speed.124M --budget 300 --out gpu.json
python -m benchmarks.gpu --emulated --out emulated.json   without a GPU: does the program work?

Every task runs in a process of its own and gets a share of the time that is left. One that fails, hangs or
has no time is noted with the reason, and the others go on. The figures are written after every task.
"""

import argparse
import contextlib
import importlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu.job import Job, LeftOut, emulate, one_line, say
from benchmarks.gpu.report import figures_of
from benchmarks.machine import describe
from benchmarks.program import RESULTS, ROOT, Content, positive
from scratchgpt.errors import InputError
from scratchgpt.utils.files import atomic_path, load_json, make_folder

BUDGET = 540  # seconds
SHORTEST = 5.0  # seconds of a task; with less it is not begun
RESULT = RESULTS / "gpu.json"


class Task(NamedTuple):
    """A part of the benchmark: its name, and its share of the time beside those of the others."""

    name: str
    share: float


TASKS = [
    Task("checks.repeatable", 35),
    Task("checks.curve", 30),
    Task("checks.tests", 60),
    Task("checks.sanitizer", 60),
    Task("speed.6x6x384.bf16", 80),
    Task("speed.124M.bf16", 110),
    Task("recipe.scratchgpt", 70),
    Task("speed.780.float32", 45),
    Task("profile.124M", 15),
    Task("profile.6x6x384", 10),
    Task("generation.124M", 40),
    Task("generation.6x6x384", 30),
    Task("speed.6x6x384.float32", 60),
    Task("speed.124M.float32", 90),
    Task("speed.780.bf16", 45),
    Task("recipe.PyTorch", 70),
]
PARTS = tuple(dict.fromkeys(task.name.partition(".")[0] for task in TASKS))


class Found(NamedTuple):
    """A task's figures, as far as it came, and why it did not come to its end; None if it did."""

    figures: Content | None
    reason: str | None


Command = Callable[[Task, Path, float], Sequence[str]]  # what runs a task: its result file, its seconds


def chosen(only: str | None) -> list[Task]:
    """Return the tasks that `--only` names: whole parts, or tasks by their full names.

    Raises:
        InputError: a name that is neither.
    """
    if only is None:
        return TASKS
    names = only.split(",")
    for name in names:
        if not any(_is_part_of(task, name) for task in TASKS):
            known = ", ".join([*PARTS, *(task.name for task in TASKS)])
            raise InputError(f"--only has {name!r}; expected some of {known}")
    return [task for task in TASKS if any(_is_part_of(task, name) for name in names)]


def _is_part_of(task: Task, name: str) -> bool:
    return task.name == name or task.name.startswith(f"{name}.")


def run_tasks(
    tasks: Sequence[Task], budget: float, command: Command, save: Callable[[str, Content], None]
) -> None:
    """Run the tasks one after the other, and save what each found.

    A task may take its share of the time that is left, in proportion to those that come after it.
    """
    end = time.monotonic() + budget
    for i, task in enumerate(tasks):
        left = end - time.monotonic()
        seconds = left * task.share / sum(each.share for each in tasks[i:])
        say(f"{task.name}: at most {max(0.0, seconds):.0f} s")
        started = time.monotonic()
        if seconds < SHORTEST:
            found = Found(None, f"no time left: {max(0.0, seconds):.1f} s")
        else:
            found = run_task(task, seconds, command)
        if found.reason is not None:
            say(f"{task.name}: {found.reason}")
        save(
            task.name,
            {
                "date": datetime.now(UTC).date().isoformat(),
                "seconds": round(time.monotonic() - started, 1),
                "reason": found.reason,
                "figures": found.figures,
            },
        )


def run_task(task: Task, seconds: float, command: Command) -> Found:
    """Run a task in a process of its own; return what it found."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", errors="replace") as errors:
        result = Path(folder, "result.json")
        process = subprocess.Popen(
            command(task, result, seconds),
            cwd=ROOT,
            stdout=errors,
            stderr=errors,
            process_group=0,  # so that its own children can be ended with it
        )
        reason: str | None = None
        try:
            code = process.wait(seconds)
            if code:
                errors.seek(0)
                lines = [line for line in errors.read().split("\n") if line.strip()]
                reason = lines[-1].strip() if lines else f"it ended with code {code}"
        except subprocess.TimeoutExpired:
            reason = f"stopped after {seconds:.0f} s, its share of the time"
        finally:
            _end(process)
        return Found(load_json(result) if result.exists() else None, reason)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a task's process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_here(name: str, path: Path, seconds: float, emulated: bool) -> None:
    """Do the work of a task in this process; a reason not to goes to the error stream, with exit code 1."""
    part, _, rest = name.partition(".")
    try:
        job = Job(path, seconds, emulated)
        importlib.import_module(f"benchmarks.gpu.{part}").TASKS[rest](job)
    except (LeftOut, InputError) as error:
        print(one_line(error), file=sys.stderr)
        sys.exit(1)


def gpu() -> Content:
    """Return what the GPU is, and the versions of what computes on it.

    Raises:
        InputError: there is none, or CuPy is missing.
    """
    from scratchgpt.backends.cupy.device import find_device  # noqa: PLC0415 - the emulator comes first

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
    """Return the tasks in a file of figures; none if they are of another machine or other versions."""
    if not path.exists():
        return {}
    content = load_json(path)
    same = {key: value for key, value in machine.items() if key not in ("date", "busy_cores")}
    if content.get("emulated") or any(content["machine"].get(key) != each for key, each in same.items()):
        return {}
    tasks: Content = content["tasks"]
    return tasks


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, and see that they go together."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description="Check and measure the GPU backend within a time budget.",
        epilog=f"Tasks: {', '.join(task.name for task in TASKS)}",
        allow_abbrev=False,
    )
    parser.add_argument("--budget", type=positive, default=BUDGET, help=f"seconds in all; default: {BUDGET}")
    parser.add_argument("--only", help="parts or tasks, with commas between; figures of the others are kept")
    parser.add_argument("--out", type=Path, help="a further file for the figures")
    parser.add_argument(
        "--emulated", action="store_true", help="emulate a GPU, tiny models: tests this program, needs --out"
    )
    parser.add_argument("--task", help=argparse.SUPPRESS)  # this call is a task's own process
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.emulated and options.out is None:
        parser.error("--emulated needs --out FILE: its figures say nothing about a GPU")
    if options.emulated and options.out.resolve().is_relative_to(RESULTS):
        parser.error(f"--emulated with --out {options.out}; expected a file outside {RESULTS.name}/")
    try:
        options.tasks = chosen(options.only)
        if options.out is not None:
            make_folder(options.out.parent)
    except InputError as error:
        parser.error(str(error))
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tasks that were asked for; without a GPU say what is missing, and exit with 2."""
    options = options_of(argv)
    if options.task:
        run_here(options.task, options.out, options.seconds, options.emulated)
        return
    if options.emulated:
        emulate()
    try:
        machine = {**describe(), **gpu()}
    except InputError as error:
        print(f"python -m benchmarks.gpu: error: {error}", file=sys.stderr)
        sys.exit(2)
    paths = ([] if options.emulated else [RESULT]) + ([options.out] if options.out else [])
    flags = [f"--only={options.only}"] if options.only else []
    flags += ["--emulated"] if options.emulated else []
    called = shlex.join(["python", "-m", "benchmarks.gpu", *flags])
    content: Content = {
        "machine": machine,
        "emulated": options.emulated,
        "budget": options.budget,
        "tasks": earlier(paths[0], machine) if options.only else {},
    }

    def save(name: str, found: Content) -> None:
        content["tasks"][name] = {**found, "command": called}
        write(content, paths)

    def command(task: Task, result: Path, seconds: float) -> list[str]:
        given = [f"--task={task.name}", f"--out={result}", f"--seconds={seconds}"]
        return [sys.executable, "-m", "benchmarks.gpu", *given, *(["--emulated"] if options.emulated else [])]

    run_tasks(options.tasks, options.budget, command, save)
    say("\n".join(f"written: {path}" for path in paths))
    done = {task.name: content["tasks"][task.name] for task in options.tasks}
    without = [f"{name}: {task['reason']}" for name, task in done.items() if task["reason"] is not None]
    failures = wrong(done)
    say("\n".join([f"{len(done)} tasks, {len(without)} of them without figures", *without]))
    say("\n".join(failures) or "no check has failed")
    sys.exit(1 if failures else 0)


def wrong(tasks: Content) -> list[str]:
    """Return a sentence for each check that did not hold."""
    tests = figures_of(tasks, "checks.tests") or {}
    sentences = [f"checks.tests: {name} failed" for name in tests.get("failures", [])]
    for name, each in (figures_of(tasks, "checks.sanitizer") or {}).items():
        if each.get("errors"):
            sentences.append(f"checks.sanitizer: {name} found {each['errors']} errors")
    for name, each in (figures_of(tasks, "checks.repeatable") or {}).items():
        if isinstance(each, dict) and not (each["equal"] and each["finite"]):
            sentences.append(f"checks.repeatable: {name}: the runs differ, or are not finite")
    return sentences


def write(content: Content, paths: Iterable[Path]) -> None:
    """Write the figures to every path."""
    for path in paths:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
