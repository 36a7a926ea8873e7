"""The character tokenizer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt import CharTokenizer, InputError

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
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = CharTokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.symbols == tokenizer.symbols
    assert (loaded.encode(TEXT) == tokenizer.encode(TEXT)).all()


def test_loaded_ids_follow_the_file_and_are_not_sorted_again(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"type": "char", "symbols": ["z", "a", "m"]}), encoding="utf-8")
    assert CharTokenizer.load(path).encode("amz").tolist() == [1, 2, 0]


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
        ('{"type": "char", "symbols": ["a", "a"]}', "2 symbols, 1 of them distinct"),
        ("", "is empty"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        CharTokenizer.load(path)
