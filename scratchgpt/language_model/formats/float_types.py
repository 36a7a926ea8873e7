"""Floating-point types in files: 32 bits, or 16 bits in either of two layouts.

    float16     1 sign bit, 5 exponent bits, 10 fraction bits: up to 65504, 3 decimal digits
    bfloat16    1 sign bit, 8 exponent bits, 7 fraction bits: the upper half of a float32, 2 decimal digits

NumPy has no bfloat16, so its bits are stored as uint16.
"""

from typing import Literal

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array

FloatType = Literal["float32", "float16", "bfloat16"]


def to_type(values: Array, dtype: FloatType, name: str) -> Array:
    """Return the values rounded to a type; bfloat16 as its bits, in uint16.

    Args:
        values: float32 or float64.
        dtype: the type to round to.
        name: the name of the tensor, for messages.

    Raises:
        InputError: a value too large for the type.
    """
    with np.errstate(over="ignore"):
        single = values.astype("<f4", copy=False)
        rounded = single.astype("<f2") if dtype == "float16" else single
        bits = bfloat16_bits(single) if dtype == "bfloat16" else None
    finite = np.isfinite(rounded if bits is None else from_bfloat16_bits(bits))
    if not finite.all() and not np.array_equal(finite, np.isfinite(values)):
        raise InputError(
            f"{name} has values up to {np.nanmax(np.abs(values)):.4g}, too large for {dtype}; "
            "choose another --dtype"
        )
    return rounded if bits is None else bits


def bfloat16_bits(values: Array) -> Array:
    """Round float32 values to bfloat16, ties to even; return the bits as uint16.

    Adding 0x7FFF, plus 1 if the last kept bit is 1, carries into that bit exactly if the dropped 16 bits are
    more than half of its value, or equal to half while the bit is 1.
    """
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype("<u2")  # NaN must not become inf


def from_bfloat16_bits(bits: Array) -> Array:
    """Return bfloat16 values, given as uint16 bits, as float32: the lower 16 bits are zero."""
    return (bits.astype("<u4") << 16).view("<f4")
