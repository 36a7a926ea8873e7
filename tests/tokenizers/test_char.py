"""The character tokenizer, the byte tokenizer, and streaming decoding."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt import CharTokenizer, InputError
from scratchgpt.tokenizers import BPETokenizer, ByteTokenizer, Tokenizer, load, save
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.file_content import read_content
from scratchgpt.tokenizers.special_tokens import names_pattern, split_at_names
from scratchgpt.tokenizers.split_patterns import GPT2
from scratchgpt.tokenizers.streaming import stream_text

TEXT = "Xin chào \nkính chào quý khách!"


def test_ids_are_the_sorted_characters() -> None:
    tokenizer = CharTokenizer.train("banana")
    assert tokenizer.symbols == ["a", "b", "n"]
    assert tokenizer.encode("ban").tolist() == [1, 0, 2]
    assert tokenizer.vocab_size == 3


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_decoding_undoes_encoding(text: str) -> None:
    tokenizer = CharTokenizer.train(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ids_survive_saving_and_loading(tmp_path: Path) -> None:
    tokenizer = CharTokenizer.train(TEXT, pad=True, unk=True)
    loaded = load(save(tokenizer, tmp_path))
    assert isinstance(loaded, CharTokenizer)
    assert loaded.symbols == tokenizer.symbols
    assert (loaded.encode(TEXT) == tokenizer.encode(TEXT)).all()


def test_loaded_ids_follow_the_file_and_are_not_sorted_again(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"type": "char", "symbols": ["z", "a", "m"]}), encoding="utf-8")
    assert load(path).encode("amz").tolist() == [1, 2, 0]


def test_an_unknown_character_is_named_with_its_place() -> None:
    tokenizer = CharTokenizer.train("ab\n")
    with pytest.raises(InputError, match=r"'q' \(U\+0071\) at line 2, column 3 is not in"):
        tokenizer.encode("ab\nabq")


def test_unk_stands_for_unknown_characters() -> None:
    tokenizer = CharTokenizer.train("ab", pad=True, unk=True)
    assert tokenizer.symbols == ["<pad>", "<unk>", "a", "b"]
    assert tokenizer.encode("aqb").tolist() == [2, 1, 3]
    assert tokenizer.decode([2, 1, 3]) == "a<unk>b"


def test_a_wrong_id_is_named() -> None:
    with pytest.raises(InputError, match=r"token id is 3; expected one in \[0, 3\)"):
        CharTokenizer.train("abc").decode([0, 3])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "holds a list; expected a JSON object"),
        ('{"type": "bpe"}', "not a character tokenizer"),
        ('{"type": "char", "symbols": ["a", "a"]}', "2 symbols, of which 1 are distinct"),
        ("", "is empty"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        CharTokenizer.from_bytes(read_content(path), str(path))


def test_training_on_pieces_of_a_text_is_training_on_the_text() -> None:
    pieces = iter(["Xin chào \n", "kính chào", " quý khách!", ""])
    assert CharTokenizer.train(pieces).symbols == CharTokenizer.train(TEXT).symbols


def test_symbols_of_several_characters_are_special_tokens_and_not_text() -> None:
    tokenizer = CharTokenizer.train("<sep> ab", pad=True, specials=["<sep>", "<pad>"])
    assert tokenizer.symbols == ["<pad>", "<sep>", " ", "<", ">", "a", "b", "e", "p", "s"]
    assert tokenizer.special_ids == {"<pad>": 0, "<sep>": 1}
    assert tokenizer.encode("a<sep>").tolist() == [5, 3, 9, 7, 8, 4]
    assert tokenizer.encode("a<sep><sep", allow_special=True).tolist() == [5, 1, 3, 9, 7, 8]
    assert tokenizer.decode([5, 1]) == "a<sep>"
    again = CharTokenizer.from_bytes(tokenizer.to_bytes(), "tokenizer.json")
    assert again.symbols == tokenizer.symbols
    assert again.special_ids == tokenizer.special_ids


def test_the_place_of_an_unknown_character_counts_the_names_of_special_tokens() -> None:
    tokenizer = CharTokenizer.train("ab\n", specials=["<?!>"])
    assert tokenizer.encode("a<?!>b", allow_special=True).tolist() == [2, 0, 3]
    with pytest.raises(InputError, match=r"'q' .* at line 2, column 6"):
        tokenizer.encode("a\n<?!>bq", allow_special=True)
    with pytest.raises(InputError, match=r"'<' .* at line 1, column 2"):
        tokenizer.encode("a<?!>b")


def test_characters_beyond_the_table_are_unknown_too() -> None:
    assert CharTokenizer.train("ab", unk=True).encode("a😀\0b").tolist() == [1, 0, 0, 2]
    with pytest.raises(InputError, match=r"U\+1F600"):
        CharTokenizer.train("ab").encode("a😀")


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(InputError, match=r"lone surrogate '\\ud800' at offset 1"):
        CharTokenizer.train("a\ud800")
    with pytest.raises(InputError, match=r"U\+D800"):
        CharTokenizer.train("a").encode("a\ud800")
    with pytest.raises(InputError, match=r"lone surrogate '\\ud800' at offset 1"):
        ByteTokenizer().encode("a\ud800")


@pytest.mark.parametrize(
    ("text", "names", "parts"),
    [
        ("a<s>b", ["<s>"], [("a", False), ("<s>", True), ("b", False)]),
        ("<s><s>>", ["<s>", "<s>>"], [("<s>", True), ("<s>>", True)]),  # the longer name
        ("<s", ["<s>"], [("<s", False)]),
        ("a.*|b", [".*", "|"], [("a", False), (".*", True), ("|", True), ("b", False)]),
        ("ab", [], [("ab", False)]),
        ("", ["<s>"], []),
    ],
)
def test_a_text_is_split_at_the_names_of_special_tokens(
    text: str, names: list[str], parts: list[tuple[str, bool]]
) -> None:
    assert list(split_at_names(text, names_pattern(names))) == parts
    assert list(split_at_names(text, None)) == ([(text, False)] if text else [])


def test_the_name_of_a_special_token_is_longer_than_a_character() -> None:
    with pytest.raises(InputError, match="'x'; expected at least two characters"):
        CharTokenizer.train("ab", specials=["x"])


def test_a_special_token_cannot_be_added_twice() -> None:
    with pytest.raises(InputError, match="already has the special token '<sep>'; leave it out"):
        CharTokenizer.train("ab", specials=["<sep>"]).with_special_tokens(["<pad>", "<sep>"])


def test_encoding_gives_int32() -> None:
    for tokenizer in (CharTokenizer.train("ab"), ByteTokenizer(["<sep>"])):
        for text in ("", "ab"):
            ids = tokenizer.encode(text, allow_special=True)
            assert ids.dtype == np.int32
            assert ids.shape == (len(text),)


def test_a_byte_is_its_own_id_and_special_tokens_follow() -> None:
    tokenizer = ByteTokenizer(["<sep>", "<sep>>"])
    assert tokenizer.vocab_size == 258
    assert tokenizer.encode("aé<sep>").tolist() == [97, 195, 169, *b"<sep>"]
    assert tokenizer.encode("a<sep>>b<sep>", allow_special=True).tolist() == [
        97,
        257,
        98,
        256,
    ]  # the longer name
    assert tokenizer.decode([97, 257, 98, 256]) == "a<sep>>b<sep>"


def test_invalid_utf8_is_replaced_in_text_but_not_in_bytes() -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode([97, 0xF0, 0x9F, 98]) == "a\ufffdb"
    assert tokenizer.decode_bytes([97, 0xF0, 0x9F, 98]) == b"a\xf0\x9fb"
    with pytest.raises(InputError, match=r"token id is 256; expected one in \[0, 256\)"):
        tokenizer.decode([256])
    with pytest.raises(InputError, match=r"token id is -1"):
        tokenizer.decode([-1])


@given(st.text())
def test_bytes_represent_any_text(text: str) -> None:
    tokenizer = ByteTokenizer(["<sep>"])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert bytes(tokenizer.encode(text).tolist()) == text.encode()


def test_the_byte_tokenizer_refuses_empty_and_repeated_names() -> None:
    for names in (["<sep>", "<sep>"], [""]):
        with pytest.raises(InputError, match="expected distinct names that are not empty"):
            ByteTokenizer(names)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("ids", [["a"], [None], [1.0], [[1]]])
def test_every_tokenizer_refuses_ids_that_are_not_integers(kind: int, ids: list[int]) -> None:
    tokenizer = TOKENIZERS[kind]
    with pytest.raises(InputError, match=r"token id is .*; expected a whole number in \[0, "):
        tokenizer.decode(ids)
    assert tokenizer.decode(np.array([5, 6])) == tokenizer.decode([5, 6])


CHARACTERS = "Xin chào 日本😀 <sep>"
TOKENIZERS: list[Tokenizer] = [
    CharTokenizer.train(CHARACTERS, unk=True, specials=["<sep>"]),
    ByteTokenizer(["<sep>"]),
    train_bpe(count_chunks([CHARACTERS * 9, "日 本 日 €" * 9], GPT2), 290, GPT2, ["<sep>", "<é>"]),
]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
@given(data=st.data())
def test_streamed_pieces_joined_are_the_text_of_any_tokens(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    pieces = list(stream_text(tokenizer, iter(ids)))
    assert "".join(pieces) == tokenizer.decode(ids)
    assert all(pieces)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
@given(data=st.data())
def test_streamed_text_has_no_half_characters(tokenizer: Tokenizer, data: st.DataObject) -> None:
    text = data.draw(st.text(CHARACTERS))
    pieces = list(stream_text(tokenizer, tokenizer.encode(text)))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_is_yielded_at_its_last_byte_or_once_it_is_invalid() -> None:
    taken = []

    def tokens(data: bytes) -> Iterator[int]:
        for byte in data:
            taken.append(byte)
            yield byte

    stream = stream_text(ByteTokenizer(), tokens("é😀".encode() + b"\xe2\x82a\xf0\x9f"))
    assert [(next(stream), len(taken)) for _ in range(3)] == [("é", 2), ("😀", 6), ("\ufffda", 9)]
    assert list(stream) == ["\ufffd"]


def test_a_wrong_id_ends_a_stream() -> None:
    stream = stream_text(ByteTokenizer(), [104, 300])
    assert next(stream) == "h"
    with pytest.raises(InputError, match="token id is 300"):
        next(stream)


def test_streaming_decodes_each_token_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    decode_bytes = BPETokenizer.decode_bytes

    def watched(tokenizer: BPETokenizer, ids: list[int]) -> bytes:
        asked.append(len(list(ids)))
        return decode_bytes(tokenizer, ids)

    monkeypatch.setattr(BPETokenizer, "decode_bytes", watched)
    tokenizer = TOKENIZERS[2]
    ids = tokenizer.encode("日本😀" * 100)
    assert "".join(stream_text(tokenizer, ids)) == "日本😀" * 100
    assert asked == [1] * len(ids)
