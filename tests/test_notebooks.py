"""The notebooks run from top to bottom, as scripts and, with the extra `notebooks`, in Jupyter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
AS_A_SCRIPT = """
import pathlib, re, socket, sys
def refuse(*args, **kwargs):
    raise OSError("a notebook must not use the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
path, steps = sys.argv[1:]
source = pathlib.Path(path).read_text(encoding="utf-8")
if steps:
    source, n_replaced = re.subn(r"^STEPS = [0-9]+$", f"STEPS = {steps}", source, flags=re.MULTILINE)
    assert n_replaced == 1, "there is no line such as STEPS = 500"
sys.argv = [path]
exec(compile(source, path, "exec"), {"__name__": "__main__"})
"""
IN_JUPYTER = """
import sys, jupytext, nbclient
notebook = jupytext.read(sys.argv[1])
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
images = [output for output in outputs if "image/png" in output.get("data", {})]
print(len(notebook.cells), "cells", len(images), "figures")
"""


SCRIPT_ENV = {
    "MPLBACKEND": "Agg",
    "PYTHONWARNINGS": "error,ignore:FigureCanvasAgg is non-interactive:UserWarning",
}
JUPYTER_ENV = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def run(code: str, path: Path, folder: Path, env: dict[str, str], *arguments: str) -> str:
    """Run a notebook in a new folder, in which it must leave nothing; return what it printed."""
    here, temporary = folder / "here", folder / "temporary"
    here.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), **env},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not list(here.iterdir())
    return done.stdout


def test_the_readme_lists_every_notebook() -> None:
    readme = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\w+\.py)\)", readme) == [path.name for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("steps", ["20", pytest.param("", marks=pytest.mark.slow, id="all")])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_a_script_without_a_network(path: Path, steps: str, tmp_path: Path) -> None:
    assert run(AS_A_SCRIPT, path, tmp_path, SCRIPT_ENV, steps)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_jupyter_and_shows_its_figures(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("jupytext")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    printed = run(IN_JUPYTER, path, tmp_path, JUPYTER_ENV)
    cells, figures = map(int, re.findall(r"\d+", printed))
    source = path.read_text(encoding="utf-8")
    assert cells == len(re.findall(r"^# %%", source, flags=re.MULTILINE))
    assert figures == source.count("plt.show()")
