"""The API of the real CuPy, as freeze_surface.py has recorded it in surface.json."""

import functools
import json
from pathlib import Path
from typing import Any

Entry = str | list[str]
PATH = Path(__file__).with_name("surface.json")


@functools.cache
def surface() -> dict[str, Entry]:
    """Return the entries by dotted name: a list of parameters, or the kind of member."""
    entries: dict[str, Entry] = json.loads(PATH.read_text(encoding="utf-8"))
    # einsum's signature has **kwargs, but its body accepts only these two, not `out`.
    entries["cupy.einsum"] = ["*operands", "dtype", "optimize"]
    return entries


def check_keywords(name: str, keywords: dict[str, Any]) -> None:
    """Raise CuPy's TypeError for a keyword argument that the function `name` does not have."""
    entry = surface().get(name)
    if not isinstance(entry, list) or any(parameter.startswith("**") for parameter in entry):
        return
    for keyword in keywords:
        if keyword not in entry:
            raise TypeError(f"{name}() got an unexpected keyword argument {keyword!r}")
