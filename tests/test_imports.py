"""Who imports whom: eleven levels, no import that points up, no circle between files or folders.

ARCHITECTURE.md holds the list of levels; this test reads it there, so the two cannot differ.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scratchgpt"
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES}
FOLDERS = sorted({path.parent for path in MODULES})
DOORS = {"__init__", "__main__"}  # of the package: they may import everything
ARRAY_LIBRARIES = {"numpy", "cupy", "torch"}


def levels() -> list[list[str]]:
    """Return the levels that ARCHITECTURE.md lists, the lowest first."""
    section = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Who imports whom")[1]
    block = section.split("```")[1]
    return [line.split(", ") for line in block.strip().splitlines()]


LEVEL = {name: i for i, names in enumerate(levels()) for name in names}


def name_of(path: Path) -> str:
    """Return the dotted name of a module; a package has the name of its `__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def modules_in(text: str) -> Iterator[str]:
    """Yield every module of the package that a source imports, wherever the statement stands.

    A string such as "scratchgpt.cli.commands.train" counts, too: that is how a module is imported late.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if is_module(name) else str(node.module) for name in names)
        elif isinstance(node, ast.Constant) and "." in str(node.value) and is_module(str(node.value)):
            yield str(node.value)


def is_module(name: str) -> bool:
    return name in NAMES or f"{name}.__init__" in NAMES


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, each by the name of its file."""
    found = {name for name in modules_in(path.read_text(encoding="utf-8")) if name.startswith("scratchgpt")}
    return {name if name in NAMES else f"{name}.__init__" for name in found} - {name_of(path)}


def part(name: str) -> str:
    """Return which part of the package a module belongs to: its top-level folder or file."""
    return name.split(".")[1]


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def folder_graph(folder: Path) -> dict[str, set[str]]:
    """Return which files and folders in a folder import which others in it; its `__init__` is left out."""
    prefix = ".".join(folder.relative_to(ROOT).parts) + "."

    def child(name: str) -> str:
        return name.removeprefix(prefix).split(".")[0]

    graph: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        mine = child(name_of(path))
        others = {child(name) for name in imports(path) if name.startswith(prefix)}
        graph.setdefault(mine, set()).update(others - {mine, "__init__"})
    graph.pop("__init__", None)
    return graph


def test_the_package_has_the_parts_that_the_list_names() -> None:
    assert {part(name) for name in NAMES} - DOORS == set(LEVEL)
    assert len(levels()) == 11


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_up(path: Path) -> None:
    mine = part(name_of(path))
    if mine in DOORS:
        return
    for name in imports(path):
        assert part(name) in LEVEL, f"{name_of(path)} imports the package itself"
        if part(name) != mine:
            assert LEVEL[part(name)] < LEVEL[mine], f"{name_of(path)} imports {name}"


def test_no_two_files_import_each_other() -> None:
    assert circle({name_of(path): imports(path) for path in MODULES}) is None


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_two_folders_import_each_other(folder: Path) -> None:
    assert circle(folder_graph(folder)) is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import scratchgpt.config", {"scratchgpt.config"}),
        ("from scratchgpt import config", {"scratchgpt.config"}),
        ("from scratchgpt.config import GPTConfig", {"scratchgpt.config"}),
        ("def f():\n    from scratchgpt.ops import linear", {"scratchgpt.ops.linear"}),
        ("import_module('scratchgpt.cli.commands.train')", {"scratchgpt.cli.commands.train"}),
        ("'scratchgpt.no.such.module'", set()),
    ],
)
def test_every_way_of_importing_is_seen(source: str, expected: Iterable[str]) -> None:
    assert set(modules_in(source)) == set(expected)


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_layers_and_model_know_no_array_library() -> None:
    paths = [*(PACKAGE / "nn" / "layers").glob("*.py"), PACKAGE / "nn" / "model.py"]
    assert len(paths) > 5
    for path in paths:
        assert not {name.split(".")[0] for name in everything(path)} & ARRAY_LIBRARIES, path


def test_no_module_chooses_by_backend_name_outside_backends() -> None:
    for path in MODULES:
        if part(name_of(path)) != "backends":
            assert not re.search(r"backend(\.name)? ==", path.read_text(encoding="utf-8")), path


def test_neither_torch_nor_pickle_nor_the_lessons_are_imported() -> None:
    for path in MODULES:
        assert not {name.split(".")[0] for name in everything(path)} & {"torch", "pickle", "lessons"}, path


def everything(path: Path) -> set[str]:
    """Return the names of all that a file imports, of the package or not, by statement or by string."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "import_module",
            "find_spec",
            "run_module",
        ):
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return names
