"""Parsing the names of special tokens in a corpus."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.corpora import Corpus, Piece, open_corpus
from scratchgpt.corpora.special_tokens import split_pieces, with_special_tokens
from scratchgpt.corpora.text_files import PIECE_CHARACTERS, in_pieces
from scratchgpt.data import prepare
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.split_patterns import GPT2

END = "<|endoftext|>"
NAMES = ["<s>", "<s>>", "s<s", "<<", "ss<>s"]
SPACED = [*NAMES, "<s> <", "s  s"]
TEXT = st.lists(st.sampled_from(["<", "s", ">", " ", *SPACED])).map("".join)


@given(text=TEXT, size=st.integers(1, 9), names=st.sampled_from([NAMES, SPACED]))
def test_the_tokens_are_those_of_the_whole_text_wherever_the_pieces_end(
    text: str, size: int, names: list[str]
) -> None:
    tokenizer = CharTokenizer(["<", "s", ">", " ", *names])
    pieces = list(split_pieces(map(Piece, in_pieces([text], size)), names))
    ids = [
        i
        for piece in pieces
        for i in ([tokenizer.special_ids[piece.text]] if piece.special else tokenizer.encode(piece.text))
    ]
    assert ids == tokenizer.encode(text, allow_special=True).tolist()
    assert all(piece.text for piece in pieces)


@given(st.lists(st.tuples(TEXT, st.booleans(), st.booleans(), st.booleans())))
def test_documents_and_the_loss_mask_do_not_change(parts: list[tuple[str, bool, bool, bool]]) -> None:
    pieces = [
        Piece(END if special else text, special, in_loss, ends) for text, special, in_loss, ends in parts
    ]
    found = list(split_pieces(pieces, NAMES))

    def documents(pieces: list[Piece]) -> list[list[tuple[str, bool]]]:
        made: list[list[tuple[str, bool]]] = [[]]
        for piece in pieces:
            made[-1] += [(character, piece.in_loss) for character in piece.text]
            if piece.ends:
                made.append([])
        return made

    assert documents(found) == documents(pieces)
    assert {piece.text for piece in found if piece.special} <= {END, *NAMES}


def test_a_border_next_to_white_space_stays_where_it_is() -> None:
    pieces = [Piece("one <s"), Piece(" two"), Piece("three ", ends=True)]
    assert list(split_pieces(pieces, NAMES)) == [Piece("one <s"), Piece(" twothree ", ends=True)]
    pieces = [Piece("one two"), Piece(" three"), Piece("\n<s>", ends=True)]
    expected = [*pieces[:2], Piece("\n"), Piece("<s>", special=True), Piece("", ends=True)]
    assert list(split_pieces(pieces, NAMES)) == expected


def test_names_are_text_unless_the_corpus_allows_them(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(f"one{END}two {END} three", encoding="utf-8")
    tokenizer = ByteTokenizer([END])
    ordinary = prepare(open_corpus(str(path)), tokenizer, cache=tmp_path)
    allowed = prepare(open_corpus(str(path), allow_special=True), tokenizer, cache=tmp_path)
    assert ordinary.tokens.tolist() == list(path.read_bytes())
    assert allowed.tokens.tolist() == [*b"one", 256, *b"two ", 256, *b" three"]
    assert ordinary.folder.name != allowed.folder.name
    assert allowed.n_characters == len("onetwo  three")


def test_a_name_is_found_across_pieces_in_a_text_without_white_space(tmp_path: Path) -> None:
    text = "a" * (PIECE_CHARACTERS - 5) + END + "b" * PIECE_CHARACTERS
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    corpus = open_corpus(str(tmp_path / "text.txt"), allow_special=True)
    tokenizer = ByteTokenizer([END])
    prepared = prepare(corpus, tokenizer, cache=tmp_path)
    np.testing.assert_array_equal(prepared.tokens, tokenizer.encode(text, allow_special=True))


def test_a_tokenizer_is_trained_on_the_text_between_the_names() -> None:
    corpus = Corpus("test", lambda: iter([Piece(f"ab{END}" * 99)]), allow_special=True)
    texts = [piece.text for piece in with_special_tokens(corpus, [END]).pieces() if not piece.special]
    tokenizer = train_bpe(count_chunks(texts, GPT2), 300, GPT2, [END])
    assert tokenizer.merges == [(b"a", b"b")]
