"""Floating-point numbers as files hold them: of 32 bits, or of 16 in either of two ways.

    float16     1 bit sign, 5 bits exponent, 10 bits fraction: up to 65504, 3 decimal digits
    bfloat16    1 bit sign, 8 bits exponent, 7 bits fraction: the first half of a float32, 2 decimal digits

NumPy has no bfloat16, so its bits are held by uint16.
"""

from typing import Literal

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array

FloatType = Literal["float32", "float16", "bfloat16"]


def to_type(values: Array, dtype: FloatType, name: str) -> Array:
    """Return numbers rounded to a type; those of bfloat16 as their bits, uint16.

    Args:
        values: float32 or float64.
        dtype: the type.
        name: what they are, for messages.

    Raises:
        InputError: a number too large for the type.
    """
    with np.errstate(over="ignore"):
        single = values.astype("<f4", copy=False)
        rounded = single.astype("<f2") if dtype == "float16" else single
        bits = bfloat16_bits(single) if dtype == "bfloat16" else None
    finite = np.isfinite(rounded if bits is None else from_bfloat16_bits(bits))
    if not finite.all() and not np.array_equal(finite, np.isfinite(values)):
        raise InputError(
            f"{name} has values up to {np.nanmax(np.abs(values)):.4g}, too large for {dtype}; "
            "expected a type of more range"
        )
    return rounded if bits is None else bits


def bfloat16_bits(values: Array) -> Array:
    """Return float32 numbers rounded to bfloat16, ties to even, as uint16.

    Adding 0x7FFF, and one more where the last kept bit is odd, carries into that bit exactly when the dropped
    half is more than half of it, or is half and the bit is odd.
    """
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype("<u2")  # NaN must not become inf


def from_bfloat16_bits(bits: Array) -> Array:
    """Return bfloat16 numbers, given as uint16, as float32: the dropped half is zero."""
    return (bits.astype("<u4") << 16).view("<f4")
