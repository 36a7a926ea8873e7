"""Text of any length as a stream: read in blocks, decoded, cut into pieces."""

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
from scratchgpt.tokenizers.base import END

PIECE_SIZE = 1 << 16  # characters
BLOCK_SIZE = 1 << 20  # bytes

# Both search from the end of the text, for (?r).
_BETWEEN_WORD_AND_SPACE = regex.compile(r"(?r)(?<=[\p{L}\p{N}])(?=\s)")
_AFTER_SPACE = regex.compile(r"(?r)(?<=\s)")


@dataclass(frozen=True)
class Source:
    """A UTF-8 text that can be read from its beginning as often as one likes.

    Attributes:
        name: what messages call it: the path of a file, "standard input".
        blocks: yields its bytes, in blocks of any size but 0.
        errors: what becomes of bytes that are not UTF-8: "strict" refuses them, "replace" makes each
            U+FFFD, "ignore" leaves them out.
    """

    name: str
    blocks: Callable[[], Iterator[bytes]]
    errors: str = "strict"

    def texts(self) -> Iterator[str]:
        r"""Yield the text, in strings as they come; \r\n and \r become \n, a byte-order mark is dropped.

        Raises:
            InputError: a byte that is not UTF-8 (with its offset), no text at all, nothing but whitespace.
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
                offset = n_bytes - len(error.object) + error.start  # the object ends where the block does
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
        """Yield every line with its number, from 1, without its end; a line must fit in memory.

        Raises:
            InputError: as `texts` does.
        """
        number = 1
        rest: list[str] = []  # of a line whose end has not come yet
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
    """Return the text in a file; a .gz file is decompressed, and offsets in messages are of the result."""
    return Source(str(path), lambda: _blocks(path), errors)


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            while block := file.read(BLOCK_SIZE):
                yield block
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a text file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); expected a whole gzip file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def in_pieces(texts: Iterable[str], size: int = PIECE_SIZE) -> Iterator[str]:
    r"""Cut a text that comes as strings of any length into pieces of at most `size` characters.

    A piece is to have the same tokens alone as within the text, so it ends where no token can lie across
    the border: between a letter or digit and the whitespace after it, at the last such place. The split
    patterns of GPT-2 and GPT-4 never join the two, and what they do with the rest depends neither on the
    text before this place nor, as a piece ends in no whitespace, on the text after it. A pattern of your
    own must do likewise, or a few tokens at borders come out in another way (the text is the same).
    Where there is no such place the cut is after the last whitespace, else at `size`.
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
    """Return the best place to cut, in [start + 1, start + size]; the text goes on after that."""
    end = start + size
    found = _BETWEEN_WORD_AND_SPACE.search(text, start, end + 1) or _AFTER_SPACE.search(text, start, end)
    return found.start() if found else end


def whole_text(texts: Iterable[str]) -> Iterator[Piece]:
    """Yield the pieces of a document that stands alone, without special tokens."""
    pieces = in_pieces(texts)
    last = next(pieces, "")
    for piece in pieces:
        yield Piece(last)
        last = piece
    yield Piece(last, ends=True)


def document(texts: Iterable[str]) -> Iterator[Piece]:
    """Yield the pieces of one document among several: its text, then `<|endoftext|>`."""
    for piece in in_pieces(texts):
        yield Piece(piece)
    yield Piece(END, special=True, ends=True)


def example(line: str) -> Iterator[Piece]:
    """Yield the pieces of a line that is an example by itself, with `<|endoftext|>` at both ends.

    The first one is what generation starts from; the last one teaches where to stop.
    """
    yield Piece(END, special=True)
    yield from document([line])
