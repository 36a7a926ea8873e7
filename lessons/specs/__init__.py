"""What each exercise is checked with; one module for each lesson that has something to write."""

import importlib
from pathlib import Path

from lessons.kit.exercise import Exercise

EXERCISES: dict[int, Exercise] = {
    spec.number: spec
    for path in sorted(Path(__file__).parent.glob("spec[0-9]*.py"))
    for spec in [importlib.import_module(f"lessons.specs.{path.stem}").EXERCISE]
}
