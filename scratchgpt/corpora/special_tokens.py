"""Parsing the names of special tokens in a corpus, where the user allows it (`--corpus.allow_special`)."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, pairwise

from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.tokenizers.special_tokens import names_pattern, split_at_names


def with_special_tokens(corpus: Corpus, names: Collection[str]) -> Corpus:
    """Return the corpus with these names in its text parsed as special tokens, if the corpus allows that."""
    if not corpus.allow_special or not names:
        return corpus
    return dataclasses.replace(corpus, pieces=lambda: split_pieces(corpus.pieces(), names))


def split_pieces(pieces: Iterable[Piece], names: Collection[str]) -> Iterator[Piece]:
    """Split pieces at the names of special tokens, each of which becomes a special piece.

    A name that spans the border of two pieces is found, too: where that is possible, the last characters of a
    piece move to the next one. Names without white space cannot span a border next to white space, so such
    borders, which `in_pieces` chose with care, stay where they are.
    """
    pattern = names_pattern(names)
    longest = max(map(len, names))
    any_with_space = any(map(str.isspace, "".join(names)))
    rest = ""
    for piece, following in pairwise(chain(pieces, [Piece("", special=True)])):
        if piece.special:
            yield piece
            continue
        text = rest + piece.text
        continues = not (piece.ends or following.special) and piece.in_loss == following.in_loss
        at_space = piece.text[-1:].isspace() or following.text[:1].isspace()
        may_span = continues and (any_with_space or not at_space)
        # From here on, what looks like one name may turn out to be a longer one, or text the start of a name.
        certain = max(0, len(text) - longest + 1) if may_span else len(text)
        done = 0
        is_name = True
        for part, is_name in split_at_names(text, pattern):
            if done >= certain:
                break
            if is_name:
                yield Piece(part, special=True, in_loss=piece.in_loss)
                done += len(part)
            else:
                end = min(done + len(part), certain)
                yield piece._replace(text=text[done:end], ends=piece.ends and end == len(text))
                done = end
        if piece.ends and is_name:  # nothing follows the name: an empty piece ends the document
            yield piece._replace(text="")
        rest = text[done:]
