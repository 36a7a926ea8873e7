"""What comes with the package beside its modules: train.py, sample.py, configs/ and data/.

In a checkout they are at its top level; pyproject.toml puts them into a wheel as scratchgpt/share/.
"""

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PROGRAMS = ("train.py", "sample.py")


def folder() -> Path:
    """Return the folder that holds the programs, configurations and texts."""
    installed = PACKAGE / "share"
    return installed if installed.is_dir() else PACKAGE.parent


def run(program: str, typed: str, arguments: Sequence[str]) -> None:
    """Run one of the programs in this process.

    Args:
        program: its file, of `PROGRAMS`.
        typed: what the user has typed to run it, for messages, e.g. "scratchgpt train".
        arguments: what the user has typed after that.
    """
    path = folder() / program
    spec = spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    sys.argv = [typed, *arguments]
    spec.loader.exec_module(module)
    module.main()


def command(program: str) -> str:
    """Return what to type to run a program, of `PROGRAMS`, by the way that this process was run.

    Who has typed `python train.py` has the files at hand; `scratchgpt train` works everywhere.
    """
    is_file = Path(sys.argv[0]).name in PROGRAMS
    return f"python {program}" if is_file else f"scratchgpt {program.removesuffix('.py')}"
