"""What the learner's code raised, and on which of its lines."""

import linecache
import re
import traceback
from pathlib import Path
from types import FrameType

import numpy as np

from lessons.kit.exercise import WrongAnswer

ENDED = (Exception, SystemExit)  # how a learner's code may end; Ctrl-C is the learner's own
PRODUCT = re.compile(r"size (\d+) is different from (\d+)")
TWO_SHAPES = re.compile(r"broadcast together with shapes \(([\d,]*)\) \(([\d,]*)\)")
SUMMED = re.compile(r"\.(sum|mean|max|min|var|std|prod)\((?!.*keepdims)")


class Crash(Exception):
    """The learner's code raised an exception, or ended the program."""

    def __init__(self, error: BaseException, path: Path) -> None:
        super().__init__(str(error))
        self.error, self._path = error, path
        steps = [
            step for step in traceback.walk_tb(error.__traceback__) if step[0].f_code.co_filename == str(path)
        ]
        self._frame: FrameType | None = steps[-1][0] if steps else None
        self._number = steps[-1][1] if steps else 0

    @property
    def is_located(self) -> bool:
        """Whether a line of the learner's file is to blame."""
        is_read = isinstance(self.error, SyntaxError) and self.error.filename == str(self._path)
        return self._frame is not None or is_read

    def words(self) -> str:
        """Say what happened and on which line of the learner."""
        if isinstance(self.error, SyntaxError):
            line = (self.error.text or "").strip()
            kind = type(self.error).__name__
            return f"{self._path.name}:{self.error.lineno}: {line}\n    {kind}: {self.error.msg}"
        where = f"{self._path.name}:{self._number}: {self._line()}\n    " if self._frame else ""
        return where + self._what()

    def _line(self) -> str:
        return linecache.getline(str(self._path), self._number).strip()

    def _what(self) -> str:
        """Say what the error means, and of which shape the arrays of the line are."""
        error, message = self.error, str(self.error).strip()
        if isinstance(error, SystemExit):
            at = f" at line {self._number}" if self._frame else ""
            return f"your code ended the program{at}; a function returns to whoever called it"
        if isinstance(error, WrongAnswer):
            return message
        if isinstance(error, ValueError) and "read-only" in message:
            return "this line changes one of its inputs in place; make a new array instead"
        said = f"{type(error).__name__}: {message}"
        if not isinstance(error, ValueError | IndexError):
            return said
        if "matmul" in message and (sizes := PRODUCT.search(message)):
            said = (
                "in a product a @ b the last axis of a is summed with the last but one of b; "
                f"here they are {sizes[2]} and {sizes[1]} long"
            )
            said += "; is a transpose missing, or one too many?"
        elif self._axis_is_lost(message):
            said += "; was an axis summed away? keepdims=True keeps it with length 1"
        return said + self._shapes()

    def _shapes(self) -> str:
        """Return the shapes of the arrays that the line names."""
        if self._frame is None:
            return ""
        known = {name: self._frame.f_locals.get(name) for name in re.findall(r"[^\W\d]\w*", self._line())}
        arrays = {name: value for name, value in known.items() if isinstance(value, np.ndarray)}
        if not arrays:
            return ""
        text = "\n    here " + ", ".join(f"{name} is {array.shape}" for name, array in arrays.items())
        if ".T" in self._line() and any(array.ndim > 2 for array in arrays.values()):
            text += "; .T turns round all axes, swapaxes(-1, -2) the last two"
        return text

    def _axis_is_lost(self, message: str) -> bool:
        """Return whether one shape is the other without an axis, and the function has summed one away."""
        found = TWO_SHAPES.search(message)
        if found is None or self._frame is None:
            return False
        short, long = sorted((re.findall(r"\d+", shape) for shape in found.groups()), key=len)
        lost = any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
        first = self._frame.f_code.co_firstlineno
        lines = [linecache.getline(str(self._path), number) for number in range(first, self._number + 1)]
        return lost and any(SUMMED.search(line) for line in lines)
