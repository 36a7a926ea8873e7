"""Tokenizing a corpus once: the tokens are cached under a hash of the text and the tokenizer."""

import hashlib
import logging
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.corpora.special_tokens import with_special_tokens
from scratchgpt.data.token_file import FORMAT, TokenFile
from scratchgpt.data.token_writer import token_writer
from scratchgpt.data.tokenize import JOB_CHARACTERS, tokenize_all
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.char import UnknownCharacterError
from scratchgpt.utils.cores import usable_cores

LARGE_TEXT = 4 * 2**20  # characters; for shorter texts, starting worker processes takes longer than it saves
MAX_WORKERS = 4  # each takes some 50 MB
Progress: TypeAlias = Callable[[int, int | None], None]


def prepare(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    cache: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> TokenFile:
    """Return the tokens of a corpus, from the cache if possible.

    The text is read once to compute its cache key, and a second time if it must be tokenized. A damaged cache
    entry is rebuilt, with a warning. If anything fails, including by Ctrl-C, nothing is left behind.

    Args:
        corpus: the text.
        tokenizer: encodes it.
        cache: the cache folder; the tokens are stored in `cache/tokens/KEY`.
        workers: number of worker processes; None: one per core, up to 4, or none for a small text.
        progress: called with (characters done, total). The total is None during the first reading, which
            counts the characters; if the tokens are cached, there are no other calls.

    Raises:
        InputError: there is no text, the tokenizer cannot represent it, it changes between the two readings,
            the tokenizer lacks a special token, or the cache is not writable.
    """
    corpus = with_special_tokens(corpus, tokenizer.special_ids)
    reading = _Reading(corpus, tokenizer)
    shown = 0
    for _ in reading.pieces():
        if progress and reading.n_characters >= shown + JOB_CHARACTERS:
            shown = reading.n_characters
            progress(shown, None)
    folder = cache / "tokens" / reading.key
    found = _open_if_intact(folder)
    if found:
        return found
    if workers is None:
        workers = 1 if reading.n_characters < LARGE_TEXT else min(usable_cores(), MAX_WORKERS)
    if progress:
        progress(0, reading.n_characters)
    again = _Reading(corpus, tokenizer)
    with token_writer(
        folder,
        name=corpus.name,
        padded=corpus.padded,
        vocab_size=tokenizer.vocab_size,
        n_characters=reading.n_characters,
        all_in_loss=reading.all_in_loss,
    ) as writer:
        done = 0
        try:
            with closing(tokenize_all(again.pieces(), tokenizer, workers)) as results:
                for result in results:
                    writer.append(*result)
                    done += result.n_characters
                    if progress:
                        progress(done, reading.n_characters)
        except UnknownCharacterError as error:
            place = _find_character(error.character, corpus)
            raise UnknownCharacterError(error.character, place, error.known) from None
        if again.key != reading.key:
            raise InputError(f"{corpus.name} changed while it was being read; try again when it is complete")
    return TokenFile.open(folder)


def _find_character(character: str, corpus: Corpus) -> str:
    """Return a readable description of the first place of a character in the text."""
    document = line = column = 1
    for piece in corpus.pieces():
        if piece.special and piece.text in corpus.specials:
            text, found = "", -1  # inserted by the corpus, not in the file
        else:
            text, found = piece.text, -1 if piece.special else piece.text.find(character)
        before = text if found < 0 else text[:found]
        line += before.count("\n")
        column = len(before) - before.rfind("\n") if "\n" in before else column + len(before)
        if found >= 0:
            break
        if piece.ends:
            document, line, column = document + 1, 1, 1
    else:
        return f"of {corpus.name}, which has changed in the meantime,"
    which = f"document {document:,} of " if corpus.eos else ""
    return f"at line {line:,}, column {column:,} of {which}{corpus.name}"


def _open_if_intact(folder: Path) -> TokenFile | None:
    """Return the tokens in a cache folder, or None if there are none; a damaged folder is removed."""
    if not folder.exists():
        return None
    try:
        return TokenFile.open(folder)
    except InputError as error:
        logging.getLogger(__name__).warning("%s. The text is tokenized again.", error)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise InputError(f"cannot remove the damaged {folder}: {error.strerror or error}") from error
    return None


class _Reading:
    """One pass over a corpus, which computes its cache key and size.

    Attributes:
        n_characters: number of characters read so far, without the names of special tokens.
        all_in_loss: whether every token read so far counts in the loss.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer) -> None:
        self.n_characters = 0
        self.all_in_loss = True
        self._corpus = corpus
        self._special_ids = tokenizer.special_ids
        self._digest = hashlib.sha256()
        self._add(tokenizer.to_bytes(), FORMAT, corpus.padded)

    @property
    def key(self) -> str:
        """The SHA-256 of the tokenizer and of everything read so far."""
        return self._digest.hexdigest()

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of the corpus.

        Raises:
            InputError: the tokenizer lacks a special token, or the text has a lone surrogate.
        """
        for piece in self._corpus.pieces():
            if piece.special and piece.text not in self._special_ids:
                known = ", ".join(self._special_ids) or "none"
                raise InputError(
                    f"{self._corpus.name} needs the special token {piece.text}; the tokenizer has {known}: "
                    "add it by tokenizer.with_special_tokens"
                )
            try:
                content = piece.text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise InputError(
                    f"{self._corpus.name} has the lone surrogate U+{ord(piece.text[error.start]):04X} "
                    f"after {self.n_characters + error.start:,} characters, which UTF-8 cannot represent; "
                    "remove or replace it"
                ) from None
            self._add(content, piece.special, piece.in_loss, piece.ends)
            self.n_characters += 0 if piece.special else len(piece.text)
            self.all_in_loss &= piece.in_loss
            yield piece

    def _add(self, content: bytes, *facts: int) -> None:
        """Update the digest; lengths are included, so no two sequences of calls hash the same bytes."""
        self._digest.update(struct.pack(f"<Q{len(facts)}B", len(content), *facts))
        self._digest.update(content)
