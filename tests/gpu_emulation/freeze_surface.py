"""Write surface.json, the names and keywords of the installed CuPy, or compare the file with it (--check).

python -m tests.gpu_emulation.freeze_surface [--check]

Needs CuPy but no GPU. It keeps only names that NumPy has as well, because the fake computes with NumPy.
"""

import argparse
import importlib.util
import inspect
import json
import re
import sys
from types import ModuleType
from typing import Any

import numpy as np

from tests.gpu_emulation.surface import PATH, Entry

NUMPY_ARRAY_NAMES = frozenset(dir(np.ndarray))
ONLY_CUPY = frozenset({"asnumpy", "get_array_module", "is_available"})
CUDA_CLASSES = ("Device", "Event", "Graph", "MemoryPool", "Stream")


def frozen() -> dict[str, Entry]:
    """Return the installed CuPy's API: for each dotted name its parameters, or what kind of member it is."""
    import cupy

    surface: dict[str, Entry] = {"cupy.__version__": cupy.__version__}
    surface |= _functions("cupy", cupy, np)
    surface |= _functions("cupy.linalg", cupy.linalg, np.linalg)
    for name in sorted(NUMPY_ARRAY_NAMES | {"get", "set"}):
        if not name.startswith("_") and hasattr(cupy.ndarray, name):
            member = getattr(cupy.ndarray, name)
            kind = (_parameters(member) or "method") if callable(member) else "attribute"
            surface[f"cupy.ndarray.{name}"] = kind
    surface |= {f"cupy.random.Generator.{name}": "method" for name in _public(cupy.random.Generator)}
    for kind_of in CUDA_CLASSES:
        surface |= {f"cupy.cuda.{kind_of}.{n}": "member" for n in _public(getattr(cupy.cuda, kind_of))}
    return dict(sorted(surface.items()))


def _functions(prefix: str, module: Any, numpy_module: ModuleType) -> dict[str, Entry]:
    import cupy

    surface: dict[str, Entry] = {}
    for name in _public(module):
        if not (hasattr(numpy_module, name) or name in ONLY_CUPY):
            continue
        value = getattr(module, name)
        if isinstance(value, cupy.ufunc):
            surface[f"{prefix}.{name}"] = "ufunc"
        elif value is getattr(numpy_module, name, None) or isinstance(value, type):
            surface[f"{prefix}.{name}"] = "type" if isinstance(value, type) else "constant"
        elif callable(value):
            surface[f"{prefix}.{name}"] = _parameters(value) or "function"
    return surface


def _public(owner: Any) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


def _parameters(function: Any) -> list[str] | None:
    """Return the names of the parameters, with stars in front of *args and **kwargs; None if unknown."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # A compiled method has its signature in the first line of its docstring.
        written = re.match(r"[\w.]+\((.*)\)", (function.__doc__ or "").split("\n")[0])
        if written is None:
            return None
        names = [part.split("=")[0].split()[-1] for part in written[1].split(", ") if part]
        return [name for name in names if name not in ("self", "*")]
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(p.kind, "") + p.name for p in parameters if p.name != "self"]


def differences(old: dict[str, Entry], new: dict[str, Entry]) -> list[str]:
    """Return a line for every entry that was added, removed or changed."""
    lines = [f"removed: {name}" for name in sorted(old.keys() - new.keys())]
    lines += [f"added:   {name}" for name in sorted(new.keys() - old.keys())]
    both = sorted(old.keys() & new.keys())
    return lines + [f"changed: {n}: {old[n]} -> {new[n]}" for n in both if old[n] != new[n]]


def written(surface: dict[str, Entry]) -> str:
    """Return the text of surface.json, one entry per line."""
    entries = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(surface.items())
    )
    return f"{{\n{entries}\n}}\n"


def main() -> int:
    """Write the file, or compare it; return exit code 1 if there is a difference."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare the file with the installed CuPy")
    if importlib.util.find_spec("cupy") is None:
        parser.error("CuPy is not installed; pip install -e '.[nvrtc]'")
    if not parser.parse_args().check:
        PATH.write_text(written(frozen()), encoding="utf-8")
        return 0
    lines = differences(json.loads(PATH.read_text(encoding="utf-8")), frozen())
    for line in lines:
        sys.stdout.write(line + "\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
