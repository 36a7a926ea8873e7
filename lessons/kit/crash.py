"""Explain an exception in the learner's code: which of their lines raised it, and what it means."""

import linecache
import re
import traceback
from pathlib import Path
from types import FrameType

import numpy as np

from lessons.kit.exercise import WrongAnswer
from lessons.kit.files import shown

ENDED = (Exception, SystemExit)  # what a learner's code may raise; Ctrl-C comes from the user
MATMUL_SIZES = re.compile(r"size (\d+) is different from (\d+)")
TWO_SHAPES = re.compile(r"broadcast together with shapes \(([\d,]*)\) \(([\d,]*)\)")
REDUCTION = re.compile(r"\.(sum|mean|max|min|var|std|prod)\((?!.*keepdims)")
CONFLICT_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")  # of a merge in git


class Crash(Exception):
    """The learner's code raised an exception, or ended the program.

    Attributes:
        error: what it raised.
    """

    def __init__(self, error: BaseException, path: Path) -> None:
        super().__init__(str(error))
        self.error, self._path = error, path
        steps = [
            step for step in traceback.walk_tb(error.__traceback__) if step[0].f_code.co_filename == str(path)
        ]
        self._frame: FrameType | None = steps[-1][0] if steps else None
        self._line_number = steps[-1][1] if steps else 0

    @property
    def is_located(self) -> bool:
        """Whether the error comes from a line of the learner's file."""
        is_syntax_error = isinstance(self.error, SyntaxError) and self.error.filename == str(self._path)
        return self._frame is not None or is_syntax_error

    def message(self) -> str:
        """Return what happened, with the learner's line if there is one."""
        if isinstance(self.error, SyntaxError):
            line = linecache.getline(str(self._path), self.error.lineno or 0).strip()
            what = f"{type(self.error).__name__}: {self.error.msg}"
            if line.startswith(CONFLICT_MARKERS):
                what = (
                    "git could not merge this file: keep your lines, and delete those that you do not need "
                    "and the three marker lines (<<<<<<<, =======, >>>>>>>)"
                )
            return f"{shown(self._path)}:{self.error.lineno}: {line}\n    {what}"
        where = f"{shown(self._path)}:{self._line_number}: {self._line()}\n    " if self._frame else ""
        return where + self._what()

    def _line(self) -> str:
        return linecache.getline(str(self._path), self._line_number).strip()

    def _what(self) -> str:
        """Return what the error means, with the shapes of the arrays on the line where they matter."""
        error, message = self.error, str(self.error).strip()
        if isinstance(error, SystemExit):
            at = f" at line {self._line_number}" if self._frame else ""
            return f"your code exited the program{at}; a function must return to its caller instead"
        if isinstance(error, WrongAnswer):
            return message
        if isinstance(error, ValueError) and "read-only" in message:
            return "this line changes one of its inputs in place; make a new array instead"
        text = f"{type(error).__name__}: {message}"
        if not isinstance(error, ValueError | IndexError):
            return text
        if "matmul" in message and (sizes := MATMUL_SIZES.search(message)):
            text = (
                "a @ b sums over the last axis of a and the second-to-last axis of b, but their lengths are "
                f"{sizes[2]} and {sizes[1]}; is a transpose missing, or one too many?"
            )
        elif self._lost_an_axis(message):
            text += "; did a reduction remove an axis? keepdims=True keeps it with length 1"
        return text + self._shapes()

    def _shapes(self) -> str:
        """Return the shapes of the arrays named on the line."""
        if self._frame is None:
            return ""
        known = {name: self._frame.f_locals.get(name) for name in re.findall(r"[^\W\d]\w*", self._line())}
        arrays = {name: value for name, value in known.items() if isinstance(value, np.ndarray)}
        if not arrays:
            return ""
        text = "\n    here " + ", ".join(f"{name} is {array.shape}" for name, array in arrays.items())
        if ".T" in self._line() and any(array.ndim > 2 for array in arrays.values()):
            text += "; .T reverses all axes, swapaxes(-1, -2) swaps the last two"
        return text

    def _lost_an_axis(self, message: str) -> bool:
        """Return whether one shape is the other with an axis missing, and the function has reduced one."""
        found = TWO_SHAPES.search(message)
        if found is None or self._frame is None:
            return False
        short, long = sorted((re.findall(r"\d+", shape) for shape in found.groups()), key=len)
        lost = any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
        first = self._frame.f_code.co_firstlineno
        lines = [linecache.getline(str(self._path), number) for number in range(first, self._line_number + 1)]
        return lost and any(REDUCTION.search(line) for line in lines)
