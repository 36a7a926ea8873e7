"""The JSON files of figures: where they are kept, and how they are written."""

import json
from pathlib import Path
from typing import Any

from scratchgpt.utils.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
Content = dict[str, Any]  # of a JSON file: the figures as measured, nothing derived from them


def write_json(path: Path, content: Content) -> None:
    """Write the figures in one step: an interrupted program leaves the old file as it was.

    Raises:
        InputError: the folder cannot be written to.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
