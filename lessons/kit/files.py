"""Find a lesson's files, load them as modules, and tell a stub from a file that a learner has worked on.

The name of a lesson's script, such as `08_layernorm.py`, is the only place where its stem is written down;
the files in exercises/, answers/, faults/, specs/ and pictures/ have the same stem.
"""

import ast
import difflib
import io
import linecache
import shutil
import time
import tokenize
import tomllib
import types
from dataclasses import dataclass
from pathlib import Path

LESSONS = Path(__file__).resolve().parent.parent


class Missing(Exception):
    """A lesson, a file or a function does not exist, or is not written yet; the message says what to do."""


@dataclass(frozen=True)
class Fault:
    """A known mistake: a patch of one line of the answer, and what to say about it.

    Attributes:
        id: its name in reports and hunts, e.g. "LN-MEAN".
        number: its number in the catalogue of mistakes.
        old: text that occurs in the answer exactly once.
        new: what the mistake puts in its place.
        name: what the result then is, e.g. "the mean term left out of dx".
        why: why it is wrong.
        next: what to try.
    """

    id: str
    number: int
    old: str
    new: str
    name: str
    why: str
    next: str


def lesson_path(number: int) -> Path:
    """Return the script of a lesson.

    Raises:
        Missing: there is no such lesson.
    """
    found = sorted(LESSONS.glob(f"{number:02}_*.py"))
    if not found:
        raise Missing(f"there is no lesson {number}; python -m lessons list shows all lessons")
    return found[0]


def exercise_folder() -> Path:
    """Return the folder that a learner works in."""
    return LESSONS / "exercises"


def exercise_path(number: int) -> Path:
    """Return the file that a learner edits."""
    return exercise_folder() / lesson_path(number).name


def answer_path(number: int) -> Path:
    """Return the file with the answer."""
    return LESSONS / "answers" / lesson_path(number).name


def shown(path: Path) -> str:
    """Return a file of the lessons as messages show it, e.g. lessons/exercises/08_layernorm.py."""
    return f"lessons/{path.parent.name}/{path.name}"


def module_of(source: str, path: Path | str) -> types.ModuleType:
    """Run source code as a module; tracebacks show its lines under `path`."""
    linecache.cache[str(path)] = (len(source), None, source.splitlines(keepends=True), str(path))
    module = types.ModuleType("exercise")
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), vars(module))
    return module


def answer(number: int) -> types.ModuleType:
    """Return the answer to an exercise, as a module."""
    path = answer_path(number)
    return module_of(path.read_text(encoding="utf-8"), path)


def faults(number: int) -> list[Fault]:
    """Return the known mistakes of a lesson."""
    path = LESSONS / "faults" / f"{lesson_path(number).stem}.toml"
    if not path.exists():
        return []
    return [Fault(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]]


def patched(source: str, *chosen: Fault) -> str:
    """Return the source with faults planted.

    Raises:
        ValueError: the text that a fault replaces does not occur exactly once.
    """
    for fault in chosen:
        if source.count(fault.old) != 1:
            raise ValueError(
                f"{fault.id}: {fault.old!r} occurs {source.count(fault.old)} times; expected once"
            )
        source = source.replace(fault.old, fault.new)
    return source


def stub_of(source: str) -> str:
    """Return an answer with its private functions removed and the bodies of the others left to write."""
    lines = source.splitlines()
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    for node in reversed(functions):  # from the last to the first, so that line numbers stay valid
        last = node.end_lineno or node.lineno
        if node.name.startswith("_"):
            del lines[node.lineno - 1 : last]
            continue
        first = node.body[0]
        has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        start = (first.end_lineno or first.lineno) if has_docstring else first.lineno - 1
        lines[start:last] = ["    raise NotImplementedError  # your code goes here"]
    return "\n".join(lines).rstrip() + "\n"


def stub(number: int) -> str:
    """Return the text of an exercise file before any work on it."""
    text = stub_of(answer_path(number).read_text(encoding="utf-8"))
    return text.replace("The answer to exercise", "Exercise")


def same_code(one: str, other: str) -> bool:
    """Return whether two sources do the same: docstrings, comments and layout do not count."""
    try:
        return _code(one) == _code(other)
    except (SyntaxError, ValueError):  # ValueError: a null byte
        return one.strip() == other.strip()


def _code(source: str) -> str:
    """Return the syntax tree of a source without its docstrings.

    Raises:
        SyntaxError: the source is not valid Python.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            del node.body[0]
    return ast.dump(tree)


def is_untouched(number: int) -> bool:
    """Return whether an exercise is not started: its file is missing, or does what the stub does.

    The stub's docstrings may have been reworded since the learner got the file, so only code counts.
    """
    path = exercise_path(number)
    return not path.exists() or same_code(path.read_text(encoding="utf-8"), stub(number))


def holds_work(text: str, number: int) -> bool:
    """Return whether an exercise file has code or comments that are not the stub's."""
    given = stub(number)
    return not same_code(text, given) or _comments(text) != _comments(given)


def _comments(source: str) -> list[str]:
    """Return the comments of a source that is valid Python."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def reset(number: int) -> Path | None:
    """Put the stub back; return the backup of the learner's file, or None if it was the stub."""
    path, backup = exercise_path(number), None
    if path.exists() and path.read_text(encoding="utf-8").strip() != stub(number).strip():
        backup = path.with_name(f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}.bak")
        shutil.copy2(path, backup)
    path.write_text(stub(number), encoding="utf-8")
    return backup


def diff_to_answer(number: int) -> str:
    """Return a unified diff from the learner's file to the answer; empty if they are the same."""
    path, solution = exercise_path(number), answer_path(number)
    mine = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(
        mine.splitlines(),
        solution.read_text(encoding="utf-8").splitlines(),
        shown(path),
        shown(solution),
        lineterm="",
        n=2,
    )
    return "\n".join(lines)
