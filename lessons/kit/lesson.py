"""What every lesson needs: its options, the engine's own code, the learner's functions, the picture."""

import argparse
import functools
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, FunctionType, ModuleType, SimpleNamespace, TracebackType
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from lessons.kit import files
from lessons.kit.crash import Crash
from lessons.kit.process import check_apart
from scratchgpt.shapes import Array

P = ParamSpec("P")
R = TypeVar("R")
OUTPUT = files.LESSONS / "output"
SECONDS = 20.0  # that the check before a lesson with --mine may take


class Lesson:
    """One lesson while it runs, as a script or as a notebook.

    Attributes:
        number: of the lesson.
        fast: whether to take small sizes (`--fast`): at most five seconds in all.
        mine: whether the learner's functions take the place of the engine's (`--mine`).
    """

    def __init__(self, number: int, *, mine: bool = False) -> None:
        """Read the options of a script; a notebook has none, and may say `mine=True` here."""
        self.number = number
        parser = argparse.ArgumentParser(description=f"Lesson {number:02}")
        parser.add_argument("--fast", action="store_true", help="small sizes, a few seconds")
        parser.add_argument(
            "--mine", action="store_true", help="with your own functions in place of the engine's"
        )
        parser.add_argument("--out", type=Path, default=OUTPUT, help="where the picture goes")
        is_script = Path(sys.argv[0]).resolve() == files.lesson_path(number)
        arguments = parser.parse_args(sys.argv[1:] if is_script else [])
        self._replaced: set[tuple[str | None, str]] = set()
        self.fast, self.mine, self._out = arguments.fast, mine or arguments.mine, arguments.out
        at_a_terminal = sys.stdin.isatty() and sys.stdout.isatty() and "CI" not in os.environ
        self._waits = is_script and at_a_terminal
        if is_script:
            matplotlib.use("Agg")

    def title(self, text: str) -> None:
        """Print a heading."""
        print(f"\n{text}\n{'-' * len(text)}")

    def show(self, thing: Any) -> None:
        """Print the source of a function or class: the engine's own, or the answer's if it has none."""
        where = Path(inspect.getsourcefile(thing) or "")
        whose = "the answer's" if where.parent == files.answer_path(self.number).parent else "the engine's"
        if _origin(thing) in self._replaced:
            whose += f"; {self._mine_path()} runs in its place"
        print(f"# {where.name}{f' ({whose})' if self.mine else ''}\n{inspect.getsource(thing)}")

    def predict(self, question: str) -> None:
        """Ask what will come out, before it does; at a terminal, wait for Enter."""
        print(f"\nPredict: {question}")
        if self._waits:
            input("(Enter shows it) ")

    def functions(self, engine: Any) -> Any:
        """Return the engine's functions, or with `--mine` the learner's."""
        if not self.mine:
            return engine
        sys.excepthook = self._say_what_does_not_hold
        try:
            passed = not files.is_untouched(self.number) and check_apart(self.number, SECONDS).passed
            found = _whole(mine)(self.number)
        except files.Missing as error:
            print(f"lesson {self.number:02}: {error}", file=sys.stderr)
            sys.exit(2)
        verdict = "passed" if passed else "NOT passed, so what follows may be wrong"
        print(
            f"with your functions from {self._mine_path()}; python -m lessons check {self.number}: {verdict}"
        )
        parts = {name: value for name, value in vars(engine).items() if isinstance(value, FunctionType)}
        self._replaced = {_origin(part) for name, part in parts.items() if hasattr(found, name)}
        own = {name: value for name, value in vars(found).items() if callable(value)}
        return SimpleNamespace(**{name: _whole(value) for name, value in own.items()})

    def _mine_path(self) -> str:
        return f"lessons/exercises/{files.exercise_path(self.number).name}"

    def _say_what_does_not_hold(
        self, _: type[BaseException], error: BaseException, where: TracebackType | None
    ) -> None:
        """Say in a sentence what the learner's functions have broken, in the place of a traceback."""
        if isinstance(error, KeyboardInterrupt):
            sys.__excepthook__(KeyboardInterrupt, error, where)
            return
        ended = error.__cause__ if isinstance(error, _Ended) and error.__cause__ else error
        crash, lesson = Crash(ended, files.exercise_path(self.number)), files.lesson_path(self.number)
        if crash.is_located:
            said = f"your code stops the lesson.\n{crash.words()}\n"
        else:
            lines = [number for frame, number in traceback.walk_tb(where) if _file(frame) == lesson]
            code = linecache.getline(str(lesson), lines[-1]).strip() if lines else ""
            place = f"{lesson.name}:{lines[-1]}: " if lines else ""
            what = f"{code}\n    {type(error).__name__}: {error}"
            if isinstance(error, AssertionError):
                what = str(error) or code
            said = f"{place}{what}\n    does not hold with your functions; "
        print(f"lesson {self.number:02}: {said}run: python -m lessons check {self.number}", file=sys.stderr)

    def holds(self, sentence: str, found: Any, expected: Any, tolerance: float = 1e-9) -> None:
        """Print a sentence with the number that it is about, and see that the number is the one in the text.

        Raises:
            AssertionError: it is not.
        """
        found_array, expected_array = np.asarray(found), np.asarray(expected)
        assert np.allclose(found_array, expected_array, rtol=0, atol=tolerance), f"{sentence}: {found}"
        off = float(np.abs(found_array).max(initial=0.0))
        is_rounded = not np.any(expected_array) and 0.0 < off <= tolerance
        print(f"{sentence}: {_short(found_array)}" + (f" (up to {off:.0e})" if is_rounded else ""))

    def save(self, figure: Figure, caption: str) -> Path:
        """Write the picture and say where it is and what it shows."""
        self._out.mkdir(parents=True, exist_ok=True)
        path = self._out / f"{files.lesson_path(self.number).stem}{'_mine' if self.mine else ''}.png"
        figure.savefig(path, dpi=110, metadata={"Software": None, "Description": caption})
        print(f"\npicture: {path}\n{caption}")
        return path


class _Ended(Exception):
    """The learner's code has ended the program."""


def _whole(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with SystemExit made an error: a lesson must not end in silence."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except SystemExit as end:
            raise _Ended("the program was ended") from end

    return call


def mine(number: int) -> ModuleType:
    """Return the learner's functions of an exercise.

    Raises:
        files.Missing: there are none yet.
    """
    path = files.exercise_path(number)
    if files.is_untouched(number):
        raise files.Missing(f"lessons/exercises/{path.name} is not started; write it, or run without --mine")
    return files.module_of(path.read_text(encoding="utf-8"), path)


def _origin(thing: Any) -> tuple[str | None, str]:
    """Return where a function or class comes from: its file and its name there."""
    return inspect.getsourcefile(thing), thing.__qualname__


def _file(frame: FrameType) -> Path:
    return Path(frame.f_code.co_filename).resolve()


def _short(array: Array) -> str:
    array = np.round(array.astype(np.float64), 9) + 0.0  # no -0
    return f"{array:.6g}" if array.ndim == 0 else np.array2string(array, precision=6, suppress_small=True)
