"""Streaming text of any length: reading in blocks, decoding, splitting into pieces."""

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import regex

from scratchgpt.corpora.corpus import Piece
from scratchgpt.errors import InputError
from scratchgpt.tokenizers.special_tokens import END_OF_TEXT

PIECE_CHARACTERS = 1 << 16  # maximum length of a piece
READ_BYTES = 1 << 20  # per read of a file

# (?r) searches from the end of the text.
_BETWEEN_WORD_AND_SPACE = regex.compile(r"(?r)(?<=[\p{L}\p{N}])(?=\s)")
_AFTER_SPACE = regex.compile(r"(?r)(?<=\s)")


@dataclass(frozen=True)
class Source:
    """A UTF-8 text that can be read from the beginning any number of times.

    Attributes:
        name: what error messages call it: the path of a file, "standard input".
        blocks: returns an iterator over its bytes, in non-empty blocks of any size.
        errors: how to handle bytes that are not UTF-8: "strict" raises an error, "replace" replaces each by
            U+FFFD, "ignore" drops them.
    """

    name: str
    blocks: Callable[[], Iterator[bytes]]
    errors: str = "strict"

    def texts(self) -> Iterator[str]:
        r"""Yield the text in strings of any length; \r\n and \r become \n, and a byte-order mark is dropped.

        Raises:
            InputError: a byte is not UTF-8 (the message has its offset), or the text is empty or only
                white space.
        """
        decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")(self.errors), translate=True
        )
        n_bytes = n_characters = 0
        at_start = blank = True
        for block in chain(self.blocks(), [b""]):
            n_bytes += len(block)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                offset = n_bytes - len(error.object) + error.start  # error.object ends where the block does
                raise InputError(
                    f"{self.name} is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {offset} "
                    f"({error.reason}); expected UTF-8 text"
                ) from None
            if at_start and text:
                text, at_start = text.removeprefix("\ufeff"), False
            if text:
                n_characters += len(text)
                blank = blank and text.isspace()
                yield text
        if blank:
            what = "is only whitespace" if n_characters else "is empty"
            raise InputError(f"{self.name} {what}; expected text")

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield every line with its number, counted from 1, without the newline; a line must fit in memory.

        Raises:
            InputError: as `texts`.
        """
        number = 1
        rest: list[str] = []  # the parts of an incomplete line
        for text in self.texts():
            first, *others = text.split("\n")
            rest.append(first)
            if others:
                whole = ["".join(rest), *others[:-1]]
                yield from enumerate(whole, number)
                number += len(whole)
                rest = [others[-1]]
        if line := "".join(rest):
            yield number, line


def file_source(path: Path, errors: str = "strict") -> Source:
    """Return the text of a file; .gz files are decompressed, and offsets in messages refer to the result."""
    return Source(str(path), lambda: _blocks(path), errors)


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            while block := file.read(READ_BYTES):
                yield block
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a text file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); expected a complete gzip file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def in_pieces(texts: Iterable[str], size: int = PIECE_CHARACTERS) -> Iterator[str]:
    r"""Split a text, which arrives in strings of any length, into pieces of at most `size` characters.

    A piece should have the same tokens alone as within the text, so it ends where no token can span the
    border: at the last place between a letter or digit and the white space after it. The split patterns of
    GPT-2 and GPT-4 never join the two, and how they split the rest does not depend on the text before this
    place, nor, because a piece never ends in white space, on the text after it. With a custom pattern without
    these properties, a few tokens at borders may differ (the text is the same). Where there is no such place,
    the piece ends after the last white space, or else at `size`.
    """
    window, start = "", 0
    for text in texts:
        window, start = window[start:] + text, 0
        while len(window) - start > size:
            end = _last_border(window, start, size)
            yield window[start:end]
            start = end
    if start < len(window):
        yield window[start:]


def _last_border(text: str, start: int, size: int) -> int:
    """Return the best place to cut, in [start + 1, start + size]; the text must be longer than that."""
    end = start + size
    found = _BETWEEN_WORD_AND_SPACE.search(text, start, end + 1) or _AFTER_SPACE.search(text, start, end)
    return found.start() if found else end


def whole_text(texts: Iterable[str]) -> Iterator[Piece]:
    """Yield the pieces of a text that is a single document, without special tokens."""
    pieces = in_pieces(texts)
    last = next(pieces, "")
    for piece in pieces:
        yield Piece(last)
        last = piece
    yield Piece(last, ends=True)


def document(texts: Iterable[str]) -> Iterator[Piece]:
    """Yield the pieces of one of several documents: its text, then `<|endoftext|>`."""
    for piece in in_pieces(texts):
        yield Piece(piece)
    yield Piece(END_OF_TEXT, special=True, ends=True)


def example(line: str) -> Iterator[Piece]:
    """Yield the pieces of a line that is a separate example, with `<|endoftext|>` at both ends.

    The first one is what generation starts from; the last one teaches the model where to stop.
    """
    yield Piece(END_OF_TEXT, special=True)
    yield from document([line])
