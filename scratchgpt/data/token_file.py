"""A text as tokens on disk: a folder that is mapped into memory, so that its size does not matter.

    tokens.bin     the ids, one after the other: 16 bits each if the vocabulary allows, else 32
    documents.bin  the position after the last token of each document, 64 bits each
    learned.bin    a byte for each token, 1 where it counts in the loss; only if some do not
    info.json      what the others are, with their sizes and SHA-256

Numbers are little-endian. `token_writer.py` writes such a folder.
"""

import hashlib
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.data.part import Part
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.utils.files import load_json

FORMAT = 1
TOKENS, ENDS, LEARNED, INFO = "tokens.bin", "documents.bin", "learned.bin", "info.json"
ENDS_TYPE, LEARNED_TYPE = np.dtype("<i8"), np.dtype("u1")
CHUNK = 2**20  # bytes read at once


def token_type(vocab_size: int) -> np.dtype[Any]:
    """Return the type of the ids in tokens.bin."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


@dataclass(frozen=True, eq=False)
class TokenFile(Part):
    """A whole text, whose arrays are read-only and lie on disk.

    Attributes:
        folder: where.
        name: what the text is called.
        vocab_size: of the tokenizer; every id is below.
        n_characters: of the text, special tokens not counted.
    """

    folder: Path = Path()
    name: str = ""
    vocab_size: int = 0
    n_characters: int = 0

    @classmethod
    def open(cls, folder: Path) -> "TokenFile":
        """Map the files in a folder into memory, after every byte of them has been checked.

        Raises:
            InputError: a file is missing, of another size than written, or damaged.
        """
        if not (folder / INFO).exists():
            raise InputError(f"{folder / INFO} does not exist; expected the description of a prepared text")
        info = load_json(folder / INFO)
        try:
            if info["format"] != FORMAT:
                raise InputError(f"{folder / INFO}: format is {info['format']!r}; expected {FORMAT}")
            ids, n_tokens = token_type(info["vocab_size"]), info["tokens"]
            if info["files"][TOKENS]["bytes"] != n_tokens * ids.itemsize:
                raise InputError(
                    f"{folder / INFO}: {TOKENS} has {info['files'][TOKENS]['bytes']:,} bytes; expected "
                    f"{n_tokens:,} tokens as {ids}, which a vocabulary of {info['vocab_size']:,} needs"
                )
            types = {TOKENS: ids, ENDS: ENDS_TYPE, LEARNED: LEARNED_TYPE}
            parts = {
                name: _map(folder / name, types[name], expected["bytes"], expected["sha256"])
                for name, expected in info["files"].items()
            }
            return cls(
                parts[TOKENS], parts[ENDS], parts.get(LEARNED), bool(info["padded"]),
                folder, str(info["name"]), int(info["vocab_size"]), int(info["characters"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{folder / INFO} does not describe a text as tokens: {error!r}") from None


def _map(path: Path, dtype: np.dtype[Any], n_bytes: int, sha256: str) -> Array:
    """Return the numbers in a file, which must be as it was written."""
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        if size != n_bytes:
            raise InputError(f"{path} has {size:,} bytes; expected {n_bytes:,}")
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
            found = digest.hexdigest()
            if found != sha256:
                raise InputError(
                    f"{path} is damaged: its {size:,} bytes have SHA-256 {found}; expected {sha256}"
                )
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=dtype)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; expected a file of {n_bytes:,} bytes"
        ) from error
