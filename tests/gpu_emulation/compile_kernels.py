"""Compile all kernels with NVRTC, which needs CuPy but no GPU; print what each needs on each architecture.

python -m tests.gpu_emulation.compile_kernels [--markdown]
"""

import argparse
import importlib
import importlib.util
import io
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
HEADER = ("file", "compiled with", "kernel", "registers", "spilled bytes", "static shared bytes")

# The assembler's report about a kernel, spread over several lines.
_REPORT = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)'.*?"
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)
_SHARED = re.compile(r"(\d+) bytes smem")


class Cost(NamedTuple):
    """What one kernel needs on one architecture."""

    registers: int
    spilled: int
    shared: int


def _kernels() -> Any:
    """Return the module of the kernels, whose import needs CuPy."""
    return importlib.import_module("scratchgpt.backends.cupy.kernels")


def variants() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each file with each set of constants that it is compiled with."""
    for file, reals in _kernels().VARIANTS.items():
        heads = _kernels().HEAD_SIZES if "HEAD" in _kernels().source(file) else (None,)
        for real in reals:
            for head in heads:
                yield file, {"REAL": real} | ({} if head is None else {"HEAD": str(head)})


def costs(report: str) -> dict[str, Cost]:
    """Parse the assembler's report; return the costs by kernel."""
    found = {}
    for match in _REPORT.finditer(report):
        shared = _SHARED.search(match["rest"])
        spilled = int(match["stores"]) + int(match["loads"])
        found[match["kernel"]] = Cost(int(match["registers"]), spilled, int(shared[1]) if shared else 0)
    return dict(sorted(found.items()))


def compile_for(file: str, constants: dict[str, str], architecture: str) -> dict[str, Cost]:
    """Compile one file for one architecture; errors of the compiler are raised.

    `RawModule.compile` would ask the driver for the GPU first. This does what it does after that, with the
    options that RawModule adds.
    """
    from cupy._core import core
    from cupy.cuda import compiler

    defines = tuple(f"-D{name}={value}" for name, value in constants.items())
    options = core.assemble_cupy_compiler_options(("-std=c++17", *defines))
    options += ("-ftz=true", f"-arch={architecture}", "--ptxas-options=-v")
    report = io.StringIO()
    compiler._NVRTCProgram(_kernels().source(file), file, method="cubin").compile(options, report)
    return costs(report.getvalue())


def rows() -> Iterator[tuple[str, ...] | Exception]:
    """Yield a row of the table for each kernel, or an error."""
    for file, constants in variants():
        by_architecture = {}
        for architecture in ARCHITECTURES:
            try:
                by_architecture[architecture] = compile_for(file, constants, architecture)
            except Exception as error:
                yield RuntimeError(f"{file}, {constants}, {architecture}: {error}")
        for kernel in next(iter(by_architecture.values()), {}):
            of_kernel = [by_kernel[kernel] for by_kernel in by_architecture.values()]
            numbers = (short([cost[i] for cost in of_kernel]) for i in range(3))
            yield (file, ", ".join(constants.values()), kernel, *numbers)


def short(values: list[int]) -> str:
    """Return one number if all are equal, or else all of them."""
    return str(values[0]) if len(set(values)) == 1 else " / ".join(map(str, values))


def main() -> int:
    """Print the table; return exit code 1 if a file does not compile."""
    parser = argparse.ArgumentParser(description="Compile all kernels with NVRTC.")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    if importlib.util.find_spec("cupy") is None:
        parser.error("CuPy is not installed; pip install -e '.[nvrtc]'")
    markdown = parser.parse_args().markdown
    results = list(rows())
    errors = [result for result in results if isinstance(result, Exception)]
    table = [HEADER, *(result for result in results if not isinstance(result, Exception))]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADER))]
    print(f"Numbers for {' / '.join(ARCHITECTURES)}, or one where they agree.\n")
    for i, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip())
        if markdown and i == 0:
            print(f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
