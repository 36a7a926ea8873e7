"""A tokenized text on disk: a folder of memory-mapped files, so the text may be larger than memory.

    tokens.bin     the ids: 16 bits each if the vocabulary allows, else 32
    documents.bin  the position after the last token of each document, 64 bits each
    learned.bin    the loss mask: a byte per token, 1 where it counts in the loss; absent if all tokens count
    info.json      a description of the other files, with their sizes and SHA-256

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
TOKENS, ENDS, LOSS_MASK, INFO = "tokens.bin", "documents.bin", "learned.bin", "info.json"
ENDS_TYPE, LOSS_MASK_TYPE = np.dtype("<i8"), np.dtype("u1")
READ_BYTES = 2**20  # per read, while computing the checksum


def token_type(vocab_size: int) -> np.dtype[Any]:
    """Return the dtype of the ids in tokens.bin: the smaller one that holds every id."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


@dataclass(frozen=True, eq=False)
class TokenFile(Part):
    """A whole tokenized text, whose arrays are read-only and memory-mapped.

    Attributes:
        folder: the folder of its files.
        name: the name of the corpus.
        vocab_size: the tokenizer's vocabulary size; every id is below it.
        n_characters: characters in the text, without special tokens.
    """

    folder: Path = Path()
    name: str = ""
    vocab_size: int = 0
    n_characters: int = 0

    @classmethod
    def open(cls, folder: Path) -> "TokenFile":
        """Map the files of a folder into memory, after verifying their sizes and checksums.

        Raises:
            InputError: a file is missing, has another size than when it was written, or is damaged.
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
            types = {TOKENS: ids, ENDS: ENDS_TYPE, LOSS_MASK: LOSS_MASK_TYPE}
            parts = {
                name: _map(folder / name, types[name], expected["bytes"], expected["sha256"])
                for name, expected in info["files"].items()
            }
            return cls(
                parts[TOKENS], parts[ENDS], parts.get(LOSS_MASK), bool(info["padded"]),
                folder, str(info["name"]), int(info["vocab_size"]), int(info["characters"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{folder / INFO} does not describe a text as tokens: {error!r}") from None


def _map(path: Path, dtype: np.dtype[Any], n_bytes: int, sha256: str) -> Array:
    """Map the numbers of a file into memory, after verifying its size and checksum."""
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        if size != n_bytes:
            raise InputError(f"{path} has {size:,} bytes; expected {n_bytes:,}")
        with path.open("rb", buffering=0) as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
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
