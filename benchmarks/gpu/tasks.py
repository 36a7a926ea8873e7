"""The tasks of the GPU benchmark: their order, their shares of the time, and how they are chosen by name."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.gpu.job import Job
from benchmarks.results import Content
from scratchgpt.errors import InputError


class Task(NamedTuple):
    """A part of the benchmark: its name, and its share of the time relative to the other tasks."""

    name: str
    share: float

    @property
    def part(self) -> str:
        """The module of `benchmarks.gpu` that the task is in."""
        return self.name.partition(".")[0]


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
PARTS = tuple(dict.fromkeys(task.part for task in TASKS))


def chosen(only: str | None) -> list[Task]:
    """Return the tasks that `--only` names, by part or by full name, separated by commas.

    Raises:
        InputError: a name is neither a part nor a task.
    """
    if only is None:
        return TASKS
    names = only.split(",")
    for name in names:
        if not any(_matches(task, name) for task in TASKS):
            known = ", ".join([*PARTS, *(task.name for task in TASKS)])
            raise InputError(f"--only: there is no part or task {name!r}; choose from {known}")
    return [task for task in TASKS if any(_matches(task, name) for name in names)]


def _matches(task: Task, name: str) -> bool:
    return task.name == name or task.name.startswith(f"{name}.")


def function_of(name: str) -> Callable[[Job], None]:
    """Return the function that does the work of the task `name`."""
    part, _, rest = name.partition(".")
    return importlib.import_module(f"benchmarks.gpu.{part}").TASKS[rest]


def figures_of(tasks: Content, name: str) -> Content | None:
    """Return a task's figures out of the content of gpu.json; None if it has none."""
    figures: Content | None = tasks.get(name, {}).get("figures")
    return figures


def failed_checks(tasks: Content) -> list[str]:
    """Return a sentence for each check that failed, out of the content of gpu.json."""
    tests = figures_of(tasks, "checks.tests") or {}
    sentences = [f"checks.tests: {name} failed" for name in tests.get("failures", [])]
    for name, each in (figures_of(tasks, "checks.sanitizer") or {}).items():
        if each.get("errors"):
            sentences.append(f"checks.sanitizer: {name} found {each['errors']} errors")
    for name, each in (figures_of(tasks, "checks.repeatable") or {}).items():
        if isinstance(each, dict) and not (each["equal"] and each["finite"]):
            sentences.append(f"checks.repeatable: {name}: the runs differ, or are not finite")
    return sentences
