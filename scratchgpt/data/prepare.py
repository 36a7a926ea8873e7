"""A corpus is cut into tokens once: they lie in a cache, under a name made of text and tokenizer."""

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
from scratchgpt.data.tokenise import JOB, tokenise_all
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.char import UnknownCharacterError
from scratchgpt.utils.cores import usable_cores

SMALL = 4 * 2**20  # characters: below, starting processes would cost more than they win
MOST_WORKERS = 4  # each takes some 50 MB
Progress: TypeAlias = Callable[[int, int | None], None]


def prepare(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    cache: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> TokenFile:
    """Return a corpus as tokens, from the cache if they are there.

    The text is read once to find its name in the cache, and once more if it must be cut into tokens. A
    damaged entry is made anew, with a warning. If anything goes wrong, Ctrl-C included, nothing is left.

    Args:
        corpus: the text.
        tokenizer: cuts it.
        cache: the folder of caches; the tokens lie in a folder of their own in `tokens` there.
        workers: processes that cut; None means one for each core, up to 4. A small text needs but this one.
        progress: called with the number of characters done and of all; None for all at first, while they
            are counted; if the tokens are in the cache it is not called with a number of all.

    Raises:
        InputError: there is no text, it cannot be represented, it changes while it is read, a special token
            is missing, or the cache cannot be written.
    """
    corpus = with_special_tokens(corpus, tokenizer.special_ids)
    reading = _Reading(corpus, tokenizer)
    shown = 0
    for _ in reading.pieces():
        if progress and reading.n_characters >= shown + JOB:
            shown = reading.n_characters
            progress(shown, None)
    folder = cache / "tokens" / reading.key
    found = _open_if_whole(folder)
    if found:
        return found
    if workers is None:
        workers = 1 if reading.n_characters < SMALL else min(usable_cores(), MOST_WORKERS)
    if progress:
        progress(0, reading.n_characters)
    again = _Reading(corpus, tokenizer)
    with token_writer(
        folder,
        name=corpus.name,
        padded=corpus.padded,
        vocab_size=tokenizer.vocab_size,
        n_characters=reading.n_characters,
        all_learned=reading.all_learned,
    ) as writer:
        done = 0
        try:
            with closing(tokenise_all(again.pieces(), tokenizer, workers)) as results:
                for tokenised in results:
                    writer.append(*tokenised)
                    done += tokenised.n_characters
                    if progress:
                        progress(done, reading.n_characters)
        except UnknownCharacterError as error:
            place = _place_of(error.character, corpus)
            raise UnknownCharacterError(error.character, place, error.known) from None
        if again.key != reading.key:
            raise InputError(f"{corpus.name} changed while it was read; expected the same text twice")
    return TokenFile.open(folder)


def _place_of(character: str, corpus: Corpus) -> str:
    """Return in words where the text has a character for the first time."""
    document = line = column = 1
    for piece in corpus.pieces():
        if piece.special and piece.text in corpus.specials:
            text, found = "", -1  # not in the file
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
        return f"of {corpus.name}, which has changed since,"
    which = f"document {document:,} of " if corpus.eos else ""
    return f"at line {line:,}, column {column:,} of {which}{corpus.name}"


def _open_if_whole(folder: Path) -> TokenFile | None:
    """Return what is in a folder of the cache; what is damaged is removed."""
    if not folder.exists():
        return None
    try:
        return TokenFile.open(folder)
    except InputError as error:
        logging.getLogger(__name__).warning("%s. The text is cut into tokens anew.", error)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise InputError(f"cannot remove the damaged {folder}: {error.strerror or error}") from error
    return None


class _Reading:
    """One passage through a corpus, and what is known after it.

    Attributes:
        n_characters: read so far, names of special tokens not counted.
        all_learned: whether all of it counts in the loss.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer) -> None:
        self.n_characters = 0
        self.all_learned = True
        self._corpus = corpus
        self._special_ids = tokenizer.special_ids
        self._digest = hashlib.sha256()
        self._add(tokenizer.to_bytes(), FORMAT, corpus.padded)

    @property
    def key(self) -> str:
        """The SHA-256 of the tokenizer and of everything read so far."""
        return self._digest.hexdigest()

    def pieces(self) -> Iterator[Piece]:
        """Yield the corpus' pieces.

        Raises:
            InputError: one names an unknown special token, or holds a lone surrogate.
        """
        for piece in self._corpus.pieces():
            if piece.special and piece.text not in self._special_ids:
                known = ", ".join(self._special_ids) or "none"
                raise InputError(
                    f"{self._corpus.name} needs the special token {piece.text}; the tokenizer has {known}"
                )
            try:
                content = piece.text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise InputError(
                    f"{self._corpus.name} holds the lone surrogate U+{ord(piece.text[error.start]):04X}, "
                    f"after {self.n_characters + error.start:,} characters; expected text that UTF-8 can hold"
                ) from None
            self._add(content, piece.special, piece.learned, piece.ends)
            self.n_characters += 0 if piece.special else len(piece.text)
            self.all_learned &= piece.learned
            yield piece

    def _add(self, content: bytes, *facts: int) -> None:
        """Add to the digest so that no two sequences of calls give the same bytes."""
        self._digest.update(struct.pack(f"<Q{len(facts)}B", len(content), *facts))
        self._digest.update(content)
