"""The CUDA kernels: compiled when they are first launched, once for each type of numbers."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from scratchgpt.shapes import Array

FOLDER = Path(__file__).parent

REALS = {"float32": "float", "float64": "double", "bfloat16": "bf16", "float16": "half"}  # what REAL can be
HEADS = (16, 32, 64, 128)  # what HEAD can be in the files of attention; a head is rounded up to one of them
SUMS = ("float", "double")  # what ACC can be
VARIANTS = {  # for which types each file is compiled
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

NULL = np.uintp(
    0
)  # CuPy has passed None in more than one way; eight bytes of zeros are a null pointer in each

Grid = tuple[int, ...]


@functools.cache
def _module(file: str, real: str, defines: tuple[tuple[str, int], ...]) -> Any:
    """Return the compiled file. CuPy keeps it on disk, too, under its text, which so must be all of it."""
    options = ("-std=c++17", f"-DREAL={real}", *(f"-D{name}={value}" for name, value in defines))
    return cupy.RawModule(code=source(file), options=options)


def source(file: str) -> str:
    """Return the text of a `.cu` file with the project's headers in the places of their #include lines."""
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
    if shared > 48 << 10:  # more than every card gives unasked
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
    """Launch a kernel.

    Args:
        file: which `.cu` file it is in.
        name: its name there.
        dtype: what REAL is: float32, float64, bfloat16 or float16.
        grid: how many blocks.
        block: how many threads in each.
        arguments: device arrays, None for a null pointer, and NumPy scalars of the parameters' very types.
        defines: further constants that it is compiled with.
        shared: bytes of dynamic shared memory.
    """
    constants = tuple(sorted((defines or {}).items()))
    real = REALS[np.dtype(dtype).name]
    if real not in VARIANTS[file]:
        raise TypeError(f"{file} is not compiled for {real}; expected {' or '.join(VARIANTS[file])}")
    function = _function(file, name, real, constants, shared)
    pointers = tuple(NULL if each is None else each for each in arguments)
    function(grid, block, pointers, shared_mem=shared)


def accumulator(dtype: Any) -> np.dtype[Any]:
    """Return what ACC is for a REAL: the type of sums, and of the gradients of parameters."""
    return np.promote_types(np.dtype(dtype), np.float32)


def blocks_for(n: int, per_block: int) -> int:
    """Return how many blocks cover n things."""
    return max(1, -(-n // per_block))


def contiguous(array: Array) -> Array:
    """Return the array, or a copy without gaps if it has any: kernels take a pointer, not strides."""
    return cupy.ascontiguousarray(array)


def address(array: Any) -> int:
    """Return where an array begins in the device's memory."""
    return int(array.data.ptr)


def index(n: int) -> Any:
    """Return an `int` argument."""
    return np.int32(n)


def size(n: int) -> Any:
    """Return a `long long` argument."""
    return np.int64(n)


def number(x: float) -> Any:
    """Return a `double` argument."""
    return np.float64(x)
