"""How each exercise is checked: one module per lesson, under the lesson's name."""

import importlib
from pathlib import Path

from lessons.kit.exercise import Exercise

EXERCISES: dict[int, Exercise] = {
    spec.number: spec
    for path in sorted(Path(__file__).parent.glob("[0-9][0-9]_*.py"))
    for spec in [importlib.import_module(f"lessons.specs.{path.stem}").EXERCISE]
}
