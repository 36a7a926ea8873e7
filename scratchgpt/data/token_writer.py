"""Writing a tokenized text to a temporary folder, which is renamed once everything is on disk."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.data.token_file import (
    ENDS,
    ENDS_TYPE,
    FORMAT,
    INFO,
    LOSS_MASK,
    LOSS_MASK_TYPE,
    TOKENS,
    token_type,
)
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.utils.atomic_folder import atomic_folder


class TokenWriter:
    """Writes the tokens of a text in order. `token_writer` creates one."""

    def __init__(self, temporary: Path, vocab_size: int, n_characters: int, all_in_loss: bool) -> None:
        self._folder = temporary
        self._vocab_size = vocab_size
        self._n_characters = n_characters
        self._n_given = self._n_given_bytes = 0  # characters so far, and the bytes of their tokens
        self._n_tokens = 0
        self._last_end = 0
        names = [TOKENS, ENDS] if all_in_loss else [TOKENS, ENDS, LOSS_MASK]
        self._files: dict[str, _NewFile] = {}
        with self._explained_errors():
            for name in names:
                self._files[name] = _NewFile(temporary / name)

    def append(self, tokens: Array, ends: Array, loss_mask: Array, n_characters: int) -> None:
        """Write the next tokens.

        Args:
            tokens: (N,) ids.
            ends: (D,) the position after the last token of each document that ends here; documents without
                tokens are dropped.
            loss_mask: (N,) whether each token counts in the loss.
            n_characters: characters of the text of these tokens.

        Raises:
            InputError: an id is outside [0, vocab_size), or the disk is full.
        """
        outside = (tokens < 0) | (tokens >= self._vocab_size)
        if outside.any():
            raise InputError(
                f"token id is {tokens[outside.argmax()]}; expected one in [0, {self._vocab_size}), "
                "the tokenizer's vocabulary"
            )
        ends = ends + self._n_tokens
        ends = ends[np.diff(ends, prepend=self._last_end) > 0]
        self._n_tokens += len(tokens)
        self._last_end = int(ends[-1]) if len(ends) else self._last_end
        arrays = {
            TOKENS: tokens.astype(token_type(self._vocab_size)),
            ENDS: ends.astype(ENDS_TYPE),
            LOSS_MASK: loss_mask.astype(LOSS_MASK_TYPE),
        }
        self._n_given += n_characters
        self._n_given_bytes += sum(arrays[name].nbytes for name in self._files)
        with self._explained_errors():
            for name, file in self._files.items():
                file.write(arrays[name])

    def finish(self, name: str, padded: bool) -> None:
        """Flush everything to disk, and write the description.

        Raises:
            InputError: there are no tokens, or the disk is full.
        """
        if self._n_tokens == 0:
            raise InputError(f"{name} has no tokens; expected text")
        with self._explained_errors():
            if self._last_end < self._n_tokens:
                self._files[ENDS].write(np.array([self._n_tokens], dtype=ENDS_TYPE))
            info = {
                "format": FORMAT,
                "name": name,
                "characters": self._n_given,
                "tokens": self._n_tokens,
                "vocab_size": self._vocab_size,
                "padded": padded,
                "files": {name: file.finish() for name, file in self._files.items()},
            }
            description = _NewFile(self._folder / INFO)
            description.write(json.dumps(info, indent=1).encode())
            description.finish()

    def close(self) -> None:
        """Close the files, even after an error."""
        for file in self._files.values():
            file.close()

    @contextmanager
    def _explained_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            progress = ""
            if self._n_given:  # then the bytes per character are known
                n_written = sum(path.stat().st_size for path in self._folder.iterdir())
                n_bytes = self._n_given_bytes * self._n_characters // self._n_given
                progress = f", after {n_written:,} of about {n_bytes:,} bytes of tokens"
            raise InputError(
                f"cannot write to {self._folder.parent}: {error.strerror or error}{progress}; "
                "free some space, or set SCRATCHGPT_CACHE to use another folder"
            ) from error


class _NewFile:
    """A new file whose size and SHA-256 are computed while it is written."""

    def __init__(self, path: Path) -> None:
        self.n_bytes = 0
        self._digest = hashlib.sha256()
        self._file = path.open("xb")

    def write(self, content: Array | bytes) -> None:
        content = bytes(content)
        self._file.write(content)
        self._digest.update(content)
        self.n_bytes += len(content)

    def finish(self) -> dict[str, Any]:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"bytes": self.n_bytes, "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        with suppress(OSError):  # what failed to be written before fails again
            self._file.close()


@contextmanager
def token_writer(
    folder: Path, *, name: str, padded: bool, vocab_size: int, n_characters: int, all_in_loss: bool
) -> Iterator[TokenWriter]:
    """Provide a `TokenWriter`; if the body succeeds, its tokens are in `folder` afterwards.

    Args:
        folder: the final folder, see `atomic_folder`.
        name: the name of the corpus.
        padded: see `Part`.
        vocab_size: the tokenizer's vocabulary size.
        n_characters: characters of the whole text, to estimate the size in errors.
        all_in_loss: whether every token counts in the loss.

    Raises:
        InputError: the folder is not writable, the disk is full, or the text is empty.
    """
    with atomic_folder(folder) as temporary:
        writer = TokenWriter(temporary, vocab_size, n_characters, all_in_loss)
        try:
            yield writer
            writer.finish(name, padded)
        finally:
            writer.close()
