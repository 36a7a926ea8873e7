"""The direction of dependencies, as ARCHITECTURE.md draws it: a module imports only what stands above it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "scratchgpt"

LEVELS = [
    {"openblas", "shapes", "errors", "shipped"},
    {"row_gradient", "rng", "parallel", "validation", "terminal"},
    {"ops", "files", "config", "cache_folder", "progress", "interrupt"},
    {"loggers"},
    {"params", "backends"},
    {"accumulation", "context", "kv_cache", "optim", "tokenizers"},
    {"layers", "corpora"},
    {"model", "data"},
    {"passes", "checkpoint", "metrics"},
    {"training", "generation", "gradcheck", "scoring", "saving"},
    {"settings"},
    {"budget"},
    {"reading"},
    {"runs"},
    {"inspection"},
    {"language_model"},
    {"ecosystem", "replies", "fine_tuning"},
    {"loading"},
    {"cli"},
    {"commands", "samples", "chat"},
    {"__init__", "__main__"},
]
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}
ARRAY_LIBRARIES = {"numpy", "cupy", "torch"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """Return which part of the package a file belongs to: its first folder, or its own name.

    A `__main__` is a program, wherever it stands: it may use all that is below it.
    """
    relative = path.relative_to(PACKAGE)
    if relative.stem == "__main__":
        return "__main__"
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> set[str]:
    """Return the full names of everything that a file imports, wherever the statement stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_part_has_a_level() -> None:
    assert {part(path) for path in MODULES} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    mine = part(path)
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] == "scratchgpt" and pieces[1] in LEVEL and pieces[1] != mine:
            assert LEVEL[pieces[1]] < LEVEL[mine], f"{mine} imports {name}"


@pytest.mark.parametrize("folder", ["layers", "model"])
def test_layers_and_model_know_no_array_library(folder: str) -> None:
    paths = [path for path in MODULES if part(path) == folder]
    assert paths
    for path in paths:
        assert not {name.split(".")[0] for name in imports(path)} & ARRAY_LIBRARIES, path


def test_no_module_chooses_by_backend_name_outside_backends() -> None:
    for path in MODULES:
        if part(path) != "backends":
            assert "backend ==" not in path.read_text(encoding="utf-8"), path
            assert "backend.name ==" not in path.read_text(encoding="utf-8"), path


def test_torch_and_pickle_are_never_imported() -> None:
    for path in MODULES:
        assert not {name.split(".")[0] for name in imports(path)} & {"torch", "pickle"}, path
