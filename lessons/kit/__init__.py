"""What checks a learner's functions and says what is wrong with them, and what every lesson needs.

A lesson may be run from anywhere, so this is where the project becomes importable.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from lessons.kit.lesson import Lesson

__all__ = ["Lesson"]
