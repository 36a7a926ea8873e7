"""Names of special tokens in a text become these tokens, where that is allowed."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, pairwise

from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.tokenizers.special_names import names_pattern


def with_special_tokens(corpus: Corpus, names: Collection[str]) -> Corpus:
    """Return the corpus with special tokens where its text has their names, if it allows that."""
    if not corpus.allow_special or not names:
        return corpus
    return dataclasses.replace(corpus, pieces=lambda: names_found(corpus.pieces(), names))


def names_found(pieces: Iterable[Piece], names: Collection[str]) -> Iterator[Piece]:
    """Yield pieces whose text has no name of a special token any more; such names are pieces of their own.

    A name that lies across the border of two pieces is found, too: where one may, the last characters of a
    piece go to the next one. Names without white space cannot lie across a border that has some, so those
    borders, which are chosen with care (`in_pieces`), stay where they are.
    """
    pattern = names_pattern(names)
    longest = max(map(len, names))
    spaced = any(map(str.isspace, "".join(names)))
    rest = ""
    for piece, following in pairwise(chain(pieces, [Piece("", special=True)])):
        if piece.special:
            yield piece
            continue
        text = rest + piece.text
        goes_on = not (piece.ends or following.special) and piece.learned == following.learned
        at_space = piece.text[-1:].isspace() or following.text[:1].isspace()
        # From `certain` on, what looks like one name may turn out to be a longer one.
        certain = max(0, len(text) - longest + 1) if goes_on and (spaced or not at_space) else len(text)
        end = 0
        for match in pattern.finditer(text):
            if match.start() >= certain:
                break
            if match.start() > end:
                yield piece._replace(text=text[end : match.start()], ends=False)
            yield Piece(match[0], special=True, learned=piece.learned)
            end = match.end()
        border = max(certain, end)
        if border > end or piece.ends:
            yield piece._replace(text=text[end:border])
        rest = text[border:]
