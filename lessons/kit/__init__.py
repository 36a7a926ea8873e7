"""The machinery behind the lessons: it runs them, checks a learner's functions and names the mistakes.

A lesson may be run from any folder, so importing this package puts the project's folder on `sys.path`.
A lesson imports it as `kit`, a folder next to the lesson; everything else imports it as `lessons.kit`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from lessons.kit import files
from lessons.kit.lesson import Lesson

__all__ = ["Lesson", "files"]
