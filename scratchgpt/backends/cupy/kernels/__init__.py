"""The CUDA kernels: each is compiled when it is first launched, once for each dtype."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from scratchgpt.shapes import Array

FOLDER = Path(__file__).parent

REALS = {"float32": "float", "float64": "double", "bfloat16": "bf16", "float16": "half"}  # REAL, by dtype
HEAD_SIZES = (16, 32, 64, 128)  # HEAD in the attention files: channels of a head, rounded up to one of these
SUMS = ("float", "double")  # the types that ACC can be
VARIANTS = {  # the types that REAL can be, by file
    "adamw.cu": SUMS,
    "attention.cu": (*SUMS, "half"),
    "attention_delta.cu": tuple(REALS.values()),
    "attention_mma.cu": ("bf16", "half"),
    "clip.cu": SUMS,
    "cross_entropy.cu": tuple(REALS.values()),
    "dropout.cu": tuple(REALS.values()),
    "embedding.cu": tuple(REALS.values()),
    "gelu.cu": tuple(REALS.values()),
    "layernorm.cu": tuple(REALS.values()),
    "sampling.cu": tuple(REALS.values()),
    "sums.cu": tuple(REALS.values()),
    "training.cu": SUMS,
}

# CuPy versions differ in how they pass None; eight zero bytes are a null pointer in all of them.
NULL = np.uintp(0)

Grid = tuple[int, ...]


@functools.cache
def _module(file: str, real: str, defines: tuple[tuple[str, int], ...]) -> Any:
    """Return the compiled file. CuPy's disk cache goes by the source text, so that must be complete."""
    options = ("-std=c++17", f"-DREAL={real}", *(f"-D{name}={value}" for name, value in defines))
    return cupy.RawModule(code=source(file), options=options)


def source(file: str) -> str:
    """Return the text of a `.cu` file, with `#include "..."` lines replaced by the project's headers."""
    lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
    included: set[str] = set()
    text = []
    for line in lines:
        header = line.removeprefix("#include ").strip('"') if line.startswith('#include "') else None
        if header is None:
            text.append(line)
        elif header not in included:
            included.add(header)
            text.append((FOLDER / header).read_text(encoding="utf-8").replace("#pragma once", ""))
    return "\n".join(text)


@functools.cache
def _function(file: str, name: str, real: str, defines: tuple[tuple[str, int], ...], shared: int) -> Any:
    function = _module(file, real, defines).get_function(name)
    if shared > 48 << 10:  # a kernel has to opt in to more than 48 KiB
        function.max_dynamic_shared_size_bytes = shared
    return function


def launch(
    file: str,
    name: str,
    dtype: Any,
    grid: Grid,
    block: Grid,
    arguments: Sequence[Any],
    *,
    defines: Mapping[str, int] | None = None,
    shared: int = 0,
) -> None:
    """Launch a kernel; return without waiting for it.

    Args:
        file: the `.cu` file that it is in.
        name: its name there.
        dtype: the dtype that REAL stands for: float32, float64, bfloat16 or float16.
        grid: the number of blocks, along up to three dimensions.
        block: the number of threads in a block, along up to three dimensions.
        arguments: device arrays, None for a null pointer, and NumPy scalars of exactly the parameters' types.
        defines: other preprocessor constants to compile it with.
        shared: bytes of dynamic shared memory.

    Raises:
        TypeError: the file is not compiled for this dtype.
    """
    constants = tuple(sorted((defines or {}).items()))
    real = REALS[np.dtype(dtype).name]
    if real not in VARIANTS[file]:
        raise TypeError(f"{file} is not compiled for {real}; expected {' or '.join(VARIANTS[file])}")
    function = _function(file, name, real, constants, shared)
    pointers = tuple(NULL if each is None else each for each in arguments)
    function(grid, block, pointers, shared_mem=shared)


def accumulator(dtype: Any) -> np.dtype[Any]:
    """Return the dtype that ACC stands for: that of sums and parameter gradients, float32 or wider."""
    return np.promote_types(np.dtype(dtype), np.float32)


def blocks_for(n: int, per_block: int) -> int:
    """Return how many blocks cover n items, `per_block` each; at least one."""
    return max(1, -(-n // per_block))


def contiguous(array: Array) -> Array:
    """Return the array, or a contiguous copy, because kernels take a pointer and no strides."""
    return cupy.ascontiguousarray(array)


def address(array: Any) -> int:
    """Return the device address of an array."""
    return int(array.data.ptr)


def index(n: int) -> Any:
    """Return a kernel argument of type `int`."""
    return np.int32(n)


def size(n: int) -> Any:
    """Return a kernel argument of type `long long`."""
    return np.int64(n)


def number(x: float) -> Any:
    """Return a kernel argument of type `double`."""
    return np.float64(x)
