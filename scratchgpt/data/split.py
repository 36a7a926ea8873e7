"""Splitting a text: the last part of the tokens is held out, at a document boundary if possible."""

from typing import overload

import numpy as np

from scratchgpt.data.part import Part
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.utils.words import counted

MAX_RATIO = 2  # between the requested held-out fraction and the actual one, either way


@overload
def split(text: Part, val_fraction: float, block_size: int) -> tuple[Part, Part]: ...
@overload
def split(text: Array, val_fraction: float, block_size: int) -> tuple[Array, Array]: ...
def split(
    text: Part | Array, val_fraction: float, block_size: int
) -> tuple[Part, Part] | tuple[Array, Array]:
    """Split a text into a training and a validation part; the validation part is the last.

    If possible, no document is cut: the split is at the document boundary nearest to the requested fraction,
    among those that leave both parts large enough and hold out between half and twice `val_fraction`. With
    `val_fraction` 0 nothing is held out, and the second part is the training text again.

    Args:
        text: what `prepare` returned, or an array of tokens (N,), for which two arrays are returned.
        val_fraction: fraction of the tokens to hold out.
        block_size: tokens in a row; each part needs at least that many, or, if documents are padded, at least
            one document of two tokens.

    Raises:
        InputError: a part would be too short.
    """
    if not isinstance(text, Part):
        train, val = split(Part.of(text), val_fraction, block_size)
        return train.tokens, val.tokens
    place = int(len(text) * (1.0 - val_fraction))
    if val_fraction:
        place = _nearest_border(text, place, val_fraction, block_size)
    train = text.between(0, place)
    val = text.between(place, len(text)) if val_fraction else train
    for part, purpose in ((train, "training"), (val, "validation")):
        if not _is_enough(part, block_size):
            raise InputError(
                f"the text has {counted(len(text), 'token')}, and its {purpose} part has {len(part):,}; "
                f"expected at least {_minimum(text, block_size)} there. Use a longer text or a smaller "
                "--model.block_size"
                + (f", or --training.val_fraction 0 (now {val_fraction:g})" if part is not train else "")
            )
    return train, val


def _nearest_border(text: Part, place: int, val_fraction: float, block_size: int) -> int:
    """Return the document boundary nearest to a place, or the place itself if no boundary is acceptable."""
    borders = text.ends[:-1]
    if text.padded:
        lengths = np.diff(text.ends, prepend=0)
        long = np.flatnonzero(lengths >= 2)
        fits = slice(long[0], long[-1]) if len(long) else slice(0)  # at least one such document on each side
    else:
        least = _min_tokens(block_size)
        fits = slice(*np.searchsorted(borders, [least, len(text) - least + 1]))
    borders = borders[fits]
    share = (len(text) - borders) / len(text)
    borders = borders[(share >= val_fraction / MAX_RATIO) & (share <= val_fraction * MAX_RATIO)]
    return int(borders[np.abs(borders - place).argmin()]) if len(borders) else place


def _is_enough(part: Part, block_size: int) -> bool:
    if part.padded:
        return bool((np.diff(part.ends, prepend=0) >= 2).any())
    return len(part) >= _min_tokens(block_size)


def _minimum(text: Part, block_size: int) -> str:
    return "a document of 2 tokens" if text.padded else f"{_min_tokens(block_size)}, one context window,"


def _min_tokens(block_size: int) -> int:
    return max(block_size, 2)  # a single token has no target
