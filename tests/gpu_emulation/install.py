"""Installs the fakes so that `import cupy` finds them, and uninstalls them."""

import importlib
import importlib.util
import sys
from types import ModuleType

from tests.gpu_emulation import fake_cupy, pools
from tests.gpu_emulation.stats import allow_synchronize

ROOTS = ("cupy", "cupyx", "cupy_backends", "cuda.pathfinder")
_hidden: dict[str, ModuleType] | None = None  # the real modules; None while nothing is installed


def cupyx() -> ModuleType:
    """Return the fake `cupyx`."""
    module = ModuleType("cupyx")
    members = (allow_synchronize, pools.empty_pinned, pools.zeros_pinned)
    module.__dict__.update({member.__name__: member for member in members})
    return module


def fakes() -> dict[str, ModuleType]:
    """Return the fake modules by the names under which they are imported."""
    modules: dict[str, ModuleType] = {"cupy": fake_cupy, "cupyx": cupyx()}
    modules |= {"cupy.random": fake_cupy.random, "cupy.linalg": fake_cupy.linalg, "cupy.cuda": fake_cupy.cuda}
    for name, member in vars(fake_cupy.cuda).items():
        if isinstance(member, ModuleType):
            modules[f"cupy.cuda.{name}"] = member
    if importlib.util.find_spec("tests.gpu_emulation.pathfinder") is not None:
        pathfinder = importlib.import_module("tests.gpu_emulation.pathfinder").fake_module()
        parent = sys.modules.get("cuda")
        if parent is None:
            parent = modules["cuda"] = ModuleType("cuda")
        modules["cuda.pathfinder"] = pathfinder
    return modules


def install() -> None:
    """Make `import cupy` find the fake; a second call does nothing."""
    global _hidden  # noqa: PLW0603
    if _hidden is not None:
        return
    _hidden = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    for name in _hidden:
        del sys.modules[name]
    sys.modules.update(fakes())
    _link("cuda", "pathfinder")


def uninstall() -> None:
    """Restore the previous modules; a second call does nothing."""
    global _hidden  # noqa: PLW0603
    if _hidden is None:
        return
    for name in [name for name in sys.modules if _is_ours(name)]:
        del sys.modules[name]
    sys.modules.update(_hidden)
    _hidden = None
    _link("cuda", "pathfinder")


def _is_ours(name: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in ROOTS) or (
        name == "cuda"
        and getattr(sys.modules["cuda"], "__file__", None) is None
        and getattr(sys.modules["cuda"], "__spec__", None) is None
    )


def _link(parent: str, child: str) -> None:
    """Set the child module as an attribute of its parent, for `from parent import child`."""
    if parent in sys.modules:
        module = sys.modules.get(f"{parent}.{child}")
        if module is not None:
            setattr(sys.modules[parent], child, module)
        elif hasattr(sys.modules[parent], child):
            delattr(sys.modules[parent], child)
