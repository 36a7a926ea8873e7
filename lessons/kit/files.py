"""Where a learner's files, the answers and the faults are, and how they become modules."""

import ast
import difflib
import linecache
import shutil
import time
import tomllib
import types
from dataclasses import dataclass
from pathlib import Path

LESSONS = Path(__file__).resolve().parent.parent


class Missing(Exception):
    """There is no such lesson or file; the message says what is expected."""


@dataclass(frozen=True)
class Fault:
    """A mistake that learners make: a patch of one line of the answer, and what to say about it.

    Attributes:
        id: its name in reports and hunts, such as "LN-MEAN".
        number: its number in the catalogue.
        old: what the answer has, exactly once.
        new: what the mistake has there.
        name: what the result is then, such as "dx with the mean term left out".
        why: why it cannot be right.
        next: what to try.
    """

    id: str
    number: int
    old: str
    new: str
    name: str
    why: str
    next: str


def exercise_path(number: int) -> Path:
    """Return the file that a learner edits."""
    return LESSONS / "exercises" / f"ex{number:02}.py"


def answer_path(number: int) -> Path:
    """Return the file with the answer."""
    return LESSONS / "answers" / f"ans{number:02}.py"


def lesson_path(number: int) -> Path:
    """Return the lesson itself."""
    found = sorted(LESSONS.glob(f"{number:02}_*.py"))
    if not found:
        raise Missing(f"there is no lesson {number}; python -m lessons list shows them")
    return found[0]


def module_of(source: str, path: Path | str) -> types.ModuleType:
    """Run a source as a module; `path` is what its errors show."""
    linecache.cache[str(path)] = (
        len(source),
        None,
        source.splitlines(keepends=True),
        str(path),
    )  # for errors
    module = types.ModuleType("exercise")
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), vars(module))
    return module


def answer(number: int) -> types.ModuleType:
    """Return the answer of a lesson."""
    path = answer_path(number)
    return module_of(path.read_text(encoding="utf-8"), path)


def faults(number: int) -> list[Fault]:
    """Return the known mistakes of a lesson."""
    path = LESSONS / "faults" / f"ex{number:02}.toml"
    if not path.exists():
        return []
    return [Fault(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]]


def patched(source: str, *chosen: Fault) -> str:
    """Return the source with faults planted.

    Raises:
        ValueError: a fault's line is not there exactly once.
    """
    for fault in chosen:
        if source.count(fault.old) != 1:
            raise ValueError(
                f"{fault.id}: {fault.old!r} occurs {source.count(fault.old)} times; expected once"
            )
        source = source.replace(fault.old, fault.new)
    return source


def stub_of(source: str) -> str:
    """Return an answer's text without the bodies of its public functions: what a learner begins with."""
    lines = source.splitlines()
    functions = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    private = [
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name[0] == "_"
    ]
    for node in sorted([*functions, *private], key=lambda node: -node.lineno):
        first, last = node.body[0], node.end_lineno or node.lineno
        has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        if node.name.startswith("_"):
            del lines[node.lineno - 1 : last]
            continue
        start = (first.end_lineno or first.lineno) if has_docstring else node.body[0].lineno - 1
        lines[start:last] = ["    raise NotImplementedError  # your code goes here"]
    return "\n".join(lines).rstrip() + "\n"


def stub(number: int) -> str:
    """Return what an exercise file holds before anybody has worked on it."""
    text = stub_of(answer_path(number).read_text(encoding="utf-8"))
    return text.replace("The answer to exercise", "Exercise")


def is_untouched(number: int) -> bool:
    """Return whether the learner has not changed the file; one that is missing counts as untouched."""
    path = exercise_path(number)
    return not path.exists() or path.read_text(encoding="utf-8").strip() == stub(number).strip()


def reset(number: int) -> Path | None:
    """Put the stub back; return where the learner's file was kept, if it had anything in it."""
    path, backup = exercise_path(number), None
    if not is_untouched(number):
        backup = path.with_name(f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}.bak")
        shutil.copy2(path, backup)
    path.write_text(stub(number), encoding="utf-8")
    return backup


def diff_to_answer(number: int) -> str:
    """Return the lines that lead from the learner's file to the answer."""
    mine = exercise_path(number).read_text(encoding="utf-8") if exercise_path(number).exists() else ""
    theirs = answer_path(number).read_text(encoding="utf-8")
    lines = difflib.unified_diff(
        mine.splitlines(),
        theirs.splitlines(),
        exercise_path(number).name,
        answer_path(number).name,
        lineterm="",
        n=2,
    )
    return "\n".join(lines)
