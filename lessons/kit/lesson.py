"""What every lesson script uses: options, printed code and checks, the learner's functions, the picture."""

import argparse
import functools
import importlib
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, FunctionType, ModuleType, SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from lessons.kit import files
from lessons.kit.crash import Crash
from lessons.kit.old_names import rename_old_files
from lessons.kit.process import check_apart
from scratchgpt.shapes import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")
OUTPUT = files.LESSONS / "output"
CHECK_SECONDS = 20.0  # time limit of the check before a lesson with --mine


class Lesson:
    """A running lesson, as a script or as a notebook.

    Attributes:
        number: the lesson's number.
        fast: whether to use small sizes (`--fast`), so that the lesson takes at most five seconds.
        mine: whether the learner's functions replace the engine's (`--mine`).
    """

    def __init__(self, number: int, *, mine: bool = False) -> None:
        """Read the options of a script; a notebook has none, and passes `mine=True` here."""
        self.number = number
        rename_old_files()
        parser = argparse.ArgumentParser(description=f"Lesson {number:02}")
        parser.add_argument("--fast", action="store_true", help="use small sizes; takes a few seconds")
        parser.add_argument("--mine", action="store_true", help="use your functions instead of the engine's")
        parser.add_argument("--out", type=Path, default=OUTPUT, help="folder for the picture")
        is_script = Path(sys.argv[0]).resolve() == files.lesson_path(number)
        arguments = parser.parse_args(sys.argv[1:] if is_script else [])
        self._replaced: set[tuple[str | None, str]] = set()
        self.fast, self.mine, self._out = arguments.fast, mine or arguments.mine, arguments.out
        at_a_terminal = sys.stdin.isatty() and sys.stdout.isatty() and "CI" not in os.environ
        self._waits = is_script and at_a_terminal
        if is_script:
            importlib.import_module("matplotlib").use("Agg")  # slow to import, so only where it is used

    def title(self, text: str) -> None:
        """Print a heading."""
        print(f"\n{text}\n{'-' * len(text)}")

    def show(self, thing: Any) -> None:
        """Print the source of a function or class, the engine's or the answer's."""
        path = Path(inspect.getsourcefile(thing) or "")
        is_answer = path.parent == files.answer_path(self.number).parent
        where, whose = (files.shown(path), "answer") if is_answer else (path.name, "engine")
        if _origin(thing) in self._replaced:
            whose += f"; {self._mine_path()} runs in its place"
        print(f"# {where}{f' ({whose})' if self.mine else ''}\n{inspect.getsource(thing)}")

    def predict(self, question: str) -> None:
        """Ask for a prediction of what follows; in a terminal, wait for Enter."""
        print(f"\nPredict: {question}")
        if self._waits:
            input("(press Enter to see) ")

    def functions(self, engine: Any) -> Any:
        """Return the engine's functions, or with `--mine` the learner's."""
        if not self.mine:
            return engine
        sys.excepthook = self._explain
        try:
            passed = not files.is_untouched(self.number) and check_apart(self.number, CHECK_SECONDS).passed
            found = _survives_exit(mine)(self.number, "run without --mine")
        except files.Missing as error:
            print(f"lesson {self.number:02}: {error}", file=sys.stderr)
            sys.exit(2)
        verdict = "passed" if passed else "NOT passed, so the results below may be wrong"
        print(
            f"using your functions from {self._mine_path()}; python -m lessons check {self.number}: {verdict}"
        )
        parts = {name: value for name, value in vars(engine).items() if isinstance(value, FunctionType)}
        self._replaced = {_origin(part) for name, part in parts.items() if hasattr(found, name)}
        own = {name: value for name, value in vars(found).items() if callable(value)}
        return SimpleNamespace(**{name: _survives_exit(value) for name, value in own.items()})

    def _mine_path(self) -> str:
        return files.shown(files.exercise_path(self.number))

    def _explain(self, _: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        """Print what the learner's functions have broken, in one sentence instead of a traceback."""
        if isinstance(error, KeyboardInterrupt):
            sys.__excepthook__(KeyboardInterrupt, error, where)
            return
        ended = error.__cause__ if isinstance(error, _ProgramEnded) and error.__cause__ else error
        crash, lesson = Crash(ended, files.exercise_path(self.number)), files.lesson_path(self.number)
        if crash.is_located:
            text = f"your code stopped the lesson.\n{crash.message()}\n"
        else:
            lines = [number for frame, number in traceback.walk_tb(where) if _file(frame) == lesson]
            code = linecache.getline(str(lesson), lines[-1]).strip() if lines else ""
            place = f"lessons/{lesson.name}:{lines[-1]}: " if lines else ""
            what = f"{code}\n    {type(error).__name__}: {error}"
            if isinstance(error, AssertionError):
                what = str(error) or code
            text = f"{place}{what}\n    fails with your functions; "
        print(f"lesson {self.number:02}: {text}run: python -m lessons check {self.number}", file=sys.stderr)

    def holds(self, sentence: str, found: Any, expected: Any, tolerance: float = 1e-9) -> None:
        """Print a sentence with the number it is about, after checking the number against the text.

        Raises:
            AssertionError: the numbers differ by more than the tolerance.
        """
        found_array, expected_array = np.asarray(found), np.asarray(expected)
        assert np.allclose(found_array, expected_array, rtol=0, atol=tolerance), f"{sentence}: {found}"
        off = float(np.abs(found_array).max(initial=0.0))
        is_rounded = not np.any(expected_array) and 0.0 < off <= tolerance
        print(f"{sentence}: {_short(found_array)}" + (f" (up to {off:.0e})" if is_rounded else ""))

    def save(self, figure: "Figure", caption: str) -> Path:
        """Save the picture; print its path and caption, and return the path."""
        self._out.mkdir(parents=True, exist_ok=True)
        path = self._out / f"{files.lesson_path(self.number).stem}{'_mine' if self.mine else ''}.png"
        figure.savefig(path, dpi=110, metadata={"Software": None, "Description": caption})
        print(f"\npicture: {path}\n{caption}")
        return path


class _ProgramEnded(Exception):
    """The learner's code called exit."""


def _survives_exit(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with SystemExit turned into an error, so that no lesson ends without a message."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except SystemExit as end:
            raise _ProgramEnded("the program was ended") from end

    return call


def mine(number: int, otherwise: str = "") -> ModuleType:
    """Return the learner's module for an exercise.

    Args:
        number: the lesson's number.
        otherwise: what the learner can do instead of writing it, for the error message.

    Raises:
        files.Missing: the exercise is not started.
    """
    path = files.exercise_path(number)
    if files.is_untouched(number):
        advice = f"write it first, or {otherwise}" if otherwise else "write it first"
        raise files.Missing(f"{files.shown(path)} is not started; {advice}")
    return files.module_of(path.read_text(encoding="utf-8"), path)


def _origin(thing: Any) -> tuple[str | None, str]:
    """Return where a function or class is defined: its file and its name there."""
    return inspect.getsourcefile(thing), thing.__qualname__


def _file(frame: FrameType) -> Path:
    return Path(frame.f_code.co_filename).resolve()


def _short(array: Array) -> str:
    array = np.round(array.astype(np.float64), 9) + 0.0  # no -0
    return f"{array:.6g}" if array.ndim == 0 else np.array2string(array, precision=6, suppress_small=True)
