"""SentencePiece behind our interface: lossless, and special tokens are never parsed from ordinary text."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scratchgpt import InputError, tokenizers
from scratchgpt.tokenizers import SentencePieceTokenizer
from scratchgpt.tokenizers.streaming import stream_text

pytest.importorskip("sentencepiece")
pytest.importorskip("google.protobuf")

TEXT = (
    "The fox  saw the crow.\n\n\tGive me   the cheese, said the fox; and the crow sang <sep>.\nXin chào\n" * 5
)
SPACE = "\u2581"
TOKENIZER = SentencePieceTokenizer.train([TEXT], 350)


def library_model(**options: Any) -> bytes:
    """Return a model trained with the library's defaults, except for `options`."""
    import sentencepiece

    model = io.BytesIO()
    settings = {"vocab_size": 60, "hard_vocab_limit": False, "minloglevel": 2} | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()), model_writer=model, **settings
    )
    return model.getvalue()


def in_library(tokenizer: SentencePieceTokenizer) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=tokenizer.to_bytes())


texts = st.text() | st.text(" \t\n\r\u00a0\u3000abfox<sep>/日\0")


@given(texts)
@example(" ")
@example("  two  \n\n\n three   \t\r\n")
@example("\0\ufeff\u2028\x85e\u0301")
def test_all_text_survives_except_the_librarys_symbol_for_a_space(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text.replace(SPACE, " ")
    assert TOKENIZER.decode(TOKENIZER.encode(text, allow_special=True)) == text.replace(SPACE, " ")


def test_text_survives_a_model_that_has_seen_no_space() -> None:
    tokenizer = SentencePieceTokenizer.train(["ab"], 300)
    assert tokenizer.decode(tokenizer.encode("a b  日\n")) == "a b  日\n"


def test_pieces_and_long_lines_are_used_for_training() -> None:
    line = "abcdefgh" * 1000 + "日本" * 500  # longer than the library's limit for a sentence
    tokenizer = SentencePieceTokenizer.train(iter(["x", line, "\n"]), 400)
    assert len(tokenizer.encode("abcdefgh" * 4)) < 16
    assert len(tokenizer.encode("日本")) <= 2  # characters of the vocabulary, not bytes


def test_training_gives_the_same_model_again() -> None:
    assert SentencePieceTokenizer.train([TEXT], 350).to_bytes() == TOKENIZER.to_bytes()


@given(texts)
def test_ordinary_text_never_gives_a_special_token(text: str) -> None:
    special = set(TOKENIZER.special_ids.values())
    assert not special & set(TOKENIZER.encode(text).tolist())
    for name in TOKENIZER.special_ids:
        assert not special & set(TOKENIZER.encode(text + name + text).tolist())


def test_names_of_special_tokens_are_parsed_where_allowed() -> None:
    assert TOKENIZER.special_ids == {"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3, "<sep>": 4}
    text = "<s>the fox<sep> the  crow</s><pad>"
    ids = TOKENIZER.encode(text, allow_special=True).tolist()
    assert [i for i in ids if i < 5] == [2, 4, 3, 0]
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert 1 not in TOKENIZER.encode("<unk>", allow_special=True)


def test_the_separator_is_a_user_symbol_of_the_model_as_other_programs_see_it() -> None:
    assert (
        in_library(TOKENIZER).encode("the<sep>fox")
        == TOKENIZER.encode("the<sep>fox", allow_special=True).tolist()
    )
    assert in_library(TOKENIZER).bos_id() == 2


@given(texts)
def test_the_library_gives_the_same_ids_and_text(text: str) -> None:
    processor = in_library(TOKENIZER)
    ordinary = text.replace("<sep>", "<sap>")  # which the library always parses
    ids = TOKENIZER.encode(ordinary).tolist()
    assert ids == processor.encode(ordinary)
    assert TOKENIZER.decode(ids) == processor.decode(ids)


def test_a_model_that_puts_a_space_before_the_text_takes_it_away_again() -> None:
    content = library_model(user_defined_symbols=["<sep>"])
    loaded = SentencePieceTokenizer.from_bytes(content, "their.model")
    processor = in_library(loaded)
    for text in ("the fox saw", "the crow. the", "Give me", ""):
        ids = loaded.encode(text).tolist()
        assert ids == processor.encode(text)
        assert loaded.decode(ids) == processor.decode(ids) == text
        assert "".join(stream_text(loaded, ids)) == text
        bos = loaded.special_ids["<s>"]
        assert loaded.decode([bos, *ids]) == "<s>" + text
    ids = loaded.encode("the fox<sep>saw<sep> the", allow_special=True).tolist()
    assert ids == processor.encode("the fox<sep>saw<sep> the")
    assert loaded.decode(ids) == "the fox<sep>saw<sep> the"
    assert loaded.special_ids["<sep>"] not in loaded.encode("the fox<sep>saw")


def test_a_stream_that_continues_a_text_keeps_its_first_space() -> None:
    loaded = SentencePieceTokenizer.from_bytes(library_model(), "their.model")
    ids = loaded.encode("the fox saw the crow").tolist()
    for cut in range(1, len(ids)):
        joined = "".join(
            [*stream_text(loaded, ids[:cut]), *stream_text(loaded, ids[cut:], continuation=True)]
        )
        assert joined == "the fox saw the crow"


def test_runs_of_white_space_that_a_model_has_as_user_symbols_are_text() -> None:
    content = library_model(user_defined_symbols=["\n\n", SPACE * 2, "<br>"], remove_extra_whitespaces=False)
    loaded = SentencePieceTokenizer.from_bytes(content, "their.model")
    assert set(loaded.special_ids) == {"<unk>", "<s>", "</s>", "<br>"}
    ids = loaded.encode("a\n\nthe  fox").tolist()
    assert ids == in_library(loaded).encode("a\n\nthe  fox")
    assert loaded.decode(ids) == "a\n\nthe  fox"


@given(st.lists(st.integers(0, TOKENIZER.vocab_size - 1)))
def test_streamed_pieces_joined_are_the_text_of_any_tokens(ids: list[int]) -> None:
    pieces = list(stream_text(TOKENIZER, iter(ids)))
    assert "".join(pieces) == TOKENIZER.decode(ids)
    assert all(pieces)


def test_streaming_holds_back_half_a_character() -> None:
    ids = TOKENIZER.encode("日 <é").tolist()
    assert next(stream_text(TOKENIZER, ids)) == "日"
    assert list(stream_text(TOKENIZER, ids[:2])) == ["\ufffd"]


def test_files(tmp_path: Path) -> None:
    path = tokenizers.save(TOKENIZER, tmp_path)
    assert path.name == "tokenizer.model"
    for place in (path, tmp_path):
        loaded = tokenizers.load(place)
        assert isinstance(loaded, SentencePieceTokenizer)
        assert loaded.to_bytes() == TOKENIZER.to_bytes()
        assert loaded.encode(TEXT).tolist() == TOKENIZER.encode(TEXT).tolist()


@pytest.mark.parametrize("content", [b"", b"junk", b"\n\x05junk", TOKENIZER.to_bytes()[:500]])
def test_damaged_models_are_named(content: bytes) -> None:
    with pytest.raises(InputError, match=r"bad\.model is (empty; expected|not) a SentencePiece model"):
        SentencePieceTokenizer.from_bytes(content, "bad.model")


def test_models_that_cannot_be_decoded_here_are_named() -> None:
    content = library_model(treat_whitespace_as_suffix=True)
    with pytest.raises(InputError, match=r"their\.model puts spaces after words"):
        SentencePieceTokenizer.from_bytes(content, "their.model")


@pytest.mark.parametrize(
    ("texts", "vocab_size", "names", "words"),
    [
        ([], 300, [], "there is no text to train on"),
        ([""], 300, [], "there is no text to train on"),
        (["abc"], 10, [], "vocabulary size is 10; expected at least 264 (the special tokens, 256 bytes and"),
        (["abc"], 0, [], "vocabulary size is 0; expected at least 1"),
        (["abc"], 10**12, [], "vocab_size 1000000000000"),
        (
            ["abc"],
            300,
            ["<a b>"],
            "special token is '<a b>'; SentencePiece allows no empty names or white space",
        ),
        (["abc"], 300, [""], "special token is ''"),
        (["a\ud800"], 300, [], "lone surrogate"),
    ],
)
def test_invalid_training_settings_are_named(
    texts: list[str], vocab_size: int, names: list[str], words: str
) -> None:
    with pytest.raises(InputError) as error:
        SentencePieceTokenizer.train(texts, vocab_size, names)
    assert words in str(error.value)
    assert ".cc(" not in str(error.value)


def test_errors_while_reading_the_text_are_passed_on() -> None:
    def broken() -> Iterator[str]:
        yield TEXT
        raise InputError("page 2 is missing")

    with pytest.raises(InputError, match=r"^page 2 is missing$"):
        SentencePieceTokenizer.train(broken(), 300)


def test_a_wrong_id_and_a_wrong_character_are_named() -> None:
    with pytest.raises(InputError, match=r"token id is 9999; expected one in \[0, "):
        TOKENIZER.decode([9999])
    with pytest.raises(InputError, match=r"token id is 'a'; expected a whole number in \[0, "):
        TOKENIZER.decode(["a"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="lone surrogate"):
        TOKENIZER.encode("a\ud800")


def test_a_library_that_is_needed_after_training_is_checked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def texts() -> Iterator[str]:
        yield TEXT
        raise AssertionError("the text was read")

    monkeypatch.setitem(sys.modules, "sentencepiece.sentencepiece_model_pb2", None)
    with pytest.raises(InputError, match=r"cannot import sentencepiece\.sentencepiece_model_pb2"):
        SentencePieceTokenizer.train(texts(), 300)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match=r"pip install 'scratchgpt\[sentencepiece\]'"):
        SentencePieceTokenizer.train([TEXT], 300)
    with pytest.raises(InputError, match=r"pip install 'scratchgpt\[sentencepiece\]'"):
        tokenizers.from_bytes(TOKENIZER.to_bytes(), "tokenizer.model")
