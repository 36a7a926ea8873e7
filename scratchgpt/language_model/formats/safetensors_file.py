"""Safetensors files, read and written one tensor at a time.

A file is the length of the header (8 bytes, little-endian), the header as JSON,
{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}, and the values at these offsets.
The library's NumPy reader does not know bfloat16, and its writer does not take raw bits, so the library only
checks the file here, and we read and write the values. Source: the format's description in the library's
README.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.float_types import FloatType, from_bfloat16_bits, to_type
from scratchgpt.shapes import Array

READABLE = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
CODES: dict[FloatType, tuple[str, int]] = {
    "float32": ("F32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file, which is read on demand.

    Attributes:
        shape: its shape.
        read: returns its values as float16, float32 or float64.
    """

    shape: tuple[int, ...]
    read: Callable[[], Array]


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file, keyed by name, without reading their values.

    Raises:
        InputError: missing, corrupted or truncated.
    """
    try:
        with safe_open(path, framework="numpy"):
            pass  # opening checks the header and the length
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a safetensors file") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is corrupted or truncated: {error}; expected a safetensors file") from None
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            shape, offset = tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
            tensors[name] = StoredTensor(shape, partial(_read, path, name, entry["dtype"], shape, offset))
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Array], dtype: FloatType) -> None:
    """Write tensors of one type, rounding each as it is written.

    The metadata declares PyTorch's names and shapes, which transformers requires.

    Raises:
        InputError: a value too large for the type.
    """
    code, bytes_each = CODES[dtype]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + bytes_each * tensor.size
        header[name] = {"dtype": code, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # aligns the values
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, tensor in tensors.items():
            to_type(tensor, dtype, name).tofile(file)


def _read(path: Path, name: str, code: str, shape: tuple[int, ...], offset: int) -> Array:
    if code not in READABLE:
        raise InputError(f"{path}: {name!r} has type {code}; expected one of {', '.join(READABLE)}")
    numbers = np.memmap(path, READABLE[code], "r", offset, shape)
    return from_bfloat16_bits(numbers) if code == "BF16" else numbers
