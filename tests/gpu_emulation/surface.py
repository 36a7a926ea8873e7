"""What the real CuPy has, as frozen in surface.json by freeze_surface.py."""

import functools
import json
from pathlib import Path
from typing import Any

Entry = str | list[str]
PATH = Path(__file__).with_name("surface.json")


@functools.cache
def surface() -> dict[str, Entry]:
    """Return the entries by dotted name: a list of parameters, or the kind of thing it is."""
    entries: dict[str, Entry] = json.loads(PATH.read_text(encoding="utf-8"))
    # einsum's signature says **kwargs; its body takes these two and refuses the rest, `out` among them.
    entries["cupy.einsum"] = ["*operands", "dtype", "optimize"]
    return entries


def check_keywords(name: str, keywords: dict[str, Any]) -> None:
    """Raise the TypeError that CuPy raises for a keyword it does not have."""
    entry = surface().get(name)
    if not isinstance(entry, list) or any(parameter.startswith("**") for parameter in entry):
        return
    for keyword in keywords:
        if keyword not in entry:
            raise TypeError(f"{name}() got an unexpected keyword argument {keyword!r}")
