"""Tokenizer files: what is written, what can be read, and the errors for what cannot."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scratchgpt import InputError, tokenizers
from scratchgpt.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.bytes_to_unicode import LETTERS, bytes_of, letters_of
from scratchgpt.tokenizers.gpt2_files import load_gpt2
from scratchgpt.tokenizers.huggingface_reading import from_json
from scratchgpt.tokenizers.split_patterns import GPT2, GPT4

TEXT = "low lower lowest, new newer newest; wide wider widest\n" * 3
SPECIALS = ["<sep>", "<|endoftext|>", "Ж <x y>"]


def trained(pattern: str = GPT2) -> BPETokenizer:
    return train_bpe(count_chunks([TEXT], pattern), 270, pattern, SPECIALS)


def document() -> dict[str, Any]:
    return json.loads(trained().to_bytes())


def read(content: dict[str, Any]) -> BPETokenizer:
    return from_json(json.dumps(content).encode(), "some.json")


def test_letters_stand_for_bytes_as_gpt2_has_them() -> None:
    assert letters_of(b" the\n\x00\xff") == "ĠtheĊĀÿ"
    assert len(set(LETTERS)) == 256
    assert bytes_of("".join(LETTERS)) == bytes(range(256))
    assert bytes_of("a b") is None


@pytest.mark.parametrize("pattern", [GPT2, GPT4, r"\w+|\W"])
def test_a_tokenizer_json_keeps_everything(pattern: str) -> None:
    tokenizer = trained(pattern)
    again = from_json(tokenizer.to_bytes(), "tokenizer.json")
    assert again.token_ids == tokenizer.token_ids
    assert again.merges == tokenizer.merges
    assert again.pattern == pattern
    assert again.special_ids == tokenizer.special_ids
    assert again.to_bytes() == tokenizer.to_bytes()


def test_ids_may_be_in_any_order() -> None:
    content = document()
    last = len(content["model"]["vocab"]) - 1
    content["model"]["vocab"] = {token: last - i for token, i in content["model"]["vocab"].items()}
    for token in content["added_tokens"]:
        token["id"] = last - token["id"]
    tokenizer = read(content)
    assert tokenizer.special_ids["<sep>"] == last - trained().special_ids["<sep>"]
    assert tokenizer.encode(TEXT).tolist() == (last - trained().encode(TEXT)).tolist()
    assert read(json.loads(tokenizer.to_bytes())).encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()


def test_merges_may_be_pairs_and_added_tokens_need_not_be_special_or_in_the_vocabulary() -> None:
    content = document()
    content["model"]["merges"] = [merge.split(" ") for merge in content["model"]["merges"]]
    for token in content["added_tokens"]:
        token["special"] = False
        del content["model"]["vocab"][token["content"]]
    content["post_processor"] = {"type": "TemplateProcessing"}
    content["model"]["unk_token"] = "<|endoftext|>"  # never occurs, because every byte is a token
    assert read(content).to_bytes() == trained().to_bytes()


def test_ignore_merges_is_accepted_where_it_changes_nothing() -> None:
    content = document()
    content["model"]["ignore_merges"] = True
    assert read(content).to_bytes() == trained().to_bytes()
    n_tokens = len(content["model"]["vocab"])
    content["model"]["vocab"]["zzz"] = n_tokens
    with pytest.raises(InputError, match="ignore_merges is true, and no merges build the token 'zzz'"):
        read(content)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("normalizer", {"type": "NFC"}, 'normalizer is {"type": "NFC"}; expected null'),
        ("model.type", "WordPiece", 'model.type is "WordPiece"; expected "BPE"'),
        ("model.byte_fallback", True, "model.byte_fallback is true; expected false"),
        ("model.dropout", 0.1, "model.dropout is 0.1; expected null"),
        ("model.continuing_subword_prefix", "##", 'model.continuing_subword_prefix is "##"; expected null'),
        ("model.end_of_word_suffix", "</w>", 'model.end_of_word_suffix is "</w>"; expected null'),
        ("model.vocab", [], "model.vocab is []; expected an object"),
        ("model.vocab.!", "0", "the id of token '!' is '0'; expected a whole number"),
        ("model.vocab.!", True, "the id of token '!' is True; expected a whole number"),
        ("model.vocab.!", 1, "tokens '!' and '\"' share id 1; expected distinct ids"),
        ("model.vocab.日", 999, "token '日' is not written in GPT-2's letters for bytes"),
        ("model.merges", None, "model.merges is None; expected a list"),
        ("model.merges", ["a b", "a  b"], "model.merges[1] is 'a  b'; expected two tokens to merge"),
        ("model.merges", ["a b c"], "model.merges[0] is 'a b c'"),
        ("model.merges", ["q q"], "model.merges[0]: token 'qq' has no id"),
        ("model", None, "model is None; expected an object"),
        ("truncation", {"max_length": 5}, 'truncation is {"max_length": 5}; expected null'),
        ("decoder", None, "decoder is None; expected an object"),
        ("decoder.type", "Metaspace", 'decoder.type is "Metaspace"; expected "ByteLevel"'),
        ("pre_tokenizer", None, "pre_tokenizer is None; expected an object"),
        ("pre_tokenizer.type", "Whitespace", "pre_tokenizer is ['Whitespace']; expected ['ByteLevel'] or"),
        ("pre_tokenizer.add_prefix_space", True, "pre_tokenizer.add_prefix_space is true; expected false"),
        ("pre_tokenizer.use_regex", False, "pre_tokenizer.use_regex is false; expected true"),
        ("pre_tokenizer", {"type": "Sequence"}, "pre_tokenizer.pretokenizers is None; expected a list"),
        ("added_tokens", {"a": 1}, "added_tokens is {'a': 1}; expected a list of objects"),
        ("added_tokens.0.lstrip", True, "lstrip of added token '<sep>' is true; expected false"),
        ("added_tokens.0.content", "", "the content of added token 267 is ''; expected a distinct"),
        ("added_tokens.0.id", 7, "the id of added token '<sep>' is 7; expected 267"),
        ("added_tokens.0.id", "7", "the id of added token '<sep>' is \"7\"; expected 267"),
        ("added_tokens.0", {"content": "lo", "id": None}, "the id of added token 'lo' is null; expected 2"),
    ],
)
def test_unsupported_settings_are_named(path: str, value: object, words: str) -> None:
    content: Any = document()
    *parents, key = path.split(".")
    place = content
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    place[int(key) if isinstance(place, list) else key] = value
    with pytest.raises(InputError) as error:
        read(content)
    assert words in str(error.value)
    assert "some.json" in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"behavior": "Removed"}, 'pre_tokenizer.behavior is "Removed"; expected "Isolated"'),
        ({"pattern": {"String": "a"}}, "pre_tokenizer.pattern is {'String': 'a'}; expected a Regex"),
        ({"pattern": {"Regex": "("}}, "split pattern is '('"),
        ({"pattern": {"Regex": "\ud800"}}, "lone surrogate"),
        ({"type": "Digits"}, "pre_tokenizer is ['Digits', 'ByteLevel']"),
    ],
)
def test_unsupported_splits_are_named(change: dict[str, Any], words: str) -> None:
    content = json.loads(trained(GPT4).to_bytes())
    content["pre_tokenizer"]["pretokenizers"][0] |= change
    with pytest.raises(InputError) as error:
        read(content)
    assert words in str(error.value)


def test_a_missing_byte_is_named() -> None:
    content = document()
    ids = content["model"]["vocab"]
    ids["filler"] = ids.pop("Ġ")
    content["model"]["merges"] = []
    with pytest.raises(InputError, match="lacks 1 of the 256 bytes, the first 'Ġ'"):
        read(content)


def test_a_special_token_may_not_be_spelled_like_an_ordinary_one_in_the_file() -> None:
    tokenizer = trained()
    named = BPETokenizer(tokenizer.token_ids, tokenizer.merges, GPT2, {"lo": tokenizer.vocab_size - 3})
    with pytest.raises(InputError, match="special token 'lo' is spelled like ordinary token"):
        named.to_bytes()


def write_gpt2(folder: Path, names: tuple[str, str] = ("encoder.json", "vocab.bpe")) -> BPETokenizer:
    tokenizer = train_bpe(count_chunks([TEXT], GPT2), 270, GPT2, ["<|endoftext|>"])
    ids = {letters_of(token): i for token, i in tokenizer.token_ids.items()} | tokenizer.special_ids
    lines = [f"{letters_of(left)} {letters_of(right)}" for left, right in tokenizer.merges]
    (folder / names[0]).write_text(json.dumps(ids), encoding="utf-8")
    (folder / names[1]).write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")
    return tokenizer


@pytest.mark.parametrize("names", [("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")])
def test_gpt2_files_restore_the_tokenizer(tmp_path: Path, names: tuple[str, str]) -> None:
    tokenizer = write_gpt2(tmp_path, names)
    assert load_gpt2(tmp_path).to_bytes() == tokenizer.to_bytes()
    assert tokenizers.load(tmp_path).to_bytes() == tokenizer.to_bytes()
    assert load_gpt2(tmp_path).special_ids == {"<|endoftext|>": 269}


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("vocab.bpe", "\nw e\n", "\nwe\n", "vocab.bpe, line {line} is 'we'; expected two tokens to merge"),
        ("vocab.bpe", "\nw e\n", "\nw e e\n", "vocab.bpe, line {line} is 'w e e'"),
        ("vocab.bpe", "\nw e\n", "\n\n", "vocab.bpe, line {line} is ''"),
        ("vocab.bpe", "\nw e\n", "\nw q\n", "vocab.bpe, line {line}: token 'wq' has no id in"),
        ("encoder.json", '"we"', '"wf"', "vocab.bpe, line {line}: token 'we' has no id"),
        ("encoder.json", ", ", " ", "encoder.json is not valid JSON"),
        ("encoder.json", "{", "[{", "encoder.json is not valid JSON"),
        ("encoder.json", '"!": 0', '"!": null', "encoder.json: the id of token '!' is None"),
        ("encoder.json", '"!": 0', '"!": 500', "id"),
    ],
)
def test_broken_gpt2_files_are_named(tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    write_gpt2(tmp_path)
    line = (tmp_path / "vocab.bpe").read_text(encoding="utf-8").split("\n").index("w e") + 1
    text = (tmp_path / file).read_text(encoding="utf-8")
    if file == "encoder.json":
        text = json.dumps(json.loads(text), ensure_ascii=False)
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_gpt2(tmp_path)
    assert words.format(line=line) in str(error.value)


def test_missing_and_unreadable_gpt2_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has neither encoder.json nor vocab.json"):
        load_gpt2(tmp_path)
    write_gpt2(tmp_path)
    (tmp_path / "vocab.bpe").write_bytes(b"#version: 0.2\na \xff\n")
    with pytest.raises(InputError, match=r"vocab\.bpe is not UTF-8 at offset 16"):
        load_gpt2(tmp_path)
    (tmp_path / "vocab.bpe").unlink()
    with pytest.raises(InputError, match=r"vocab.bpe does not exist"):
        tokenizers.load(tmp_path)


def test_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    tokenizer = write_gpt2(tmp_path)
    merges = (tmp_path / "vocab.bpe").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "vocab.bpe").write_bytes(merges)
    assert load_gpt2(tmp_path).to_bytes() == tokenizer.to_bytes()


@pytest.mark.parametrize(
    "tokenizer",
    [CharTokenizer.train(TEXT, pad=True), ByteTokenizer(["<sep>"]), trained(), trained(GPT4)],
    ids=["char", "byte", "bpe", "bpe-gpt4"],
)
def test_save_and_load_give_the_same_tokenizer(tmp_path: Path, tokenizer: tokenizers.Tokenizer) -> None:
    path = tokenizers.save(tokenizer, tmp_path / "new" / "run")
    assert path == tmp_path / "new" / "run" / "tokenizer.json"
    for place in (path, path.parent, str(path)):
        loaded = tokenizers.load(place)
        assert type(loaded) is type(tokenizer)
        assert loaded.to_bytes() == tokenizer.to_bytes() == path.read_bytes()
        assert loaded.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()
    assert [file.name for file in path.parent.iterdir()] == ["tokenizer.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[]", "holds a list; expected a JSON object"),
        (b"{", "is not valid JSON"),
        (b'{"type": "word"}', "holds JSON with 'type': 'word'; expected 'type': 'char' or 'byte', or"),
        (b'{"a": 1, "b": 2}', "holds JSON with the keys 'a', 'b'"),
        (b"{}", "holds JSON without keys"),
        (b'{"type": "byte"}', "is not a byte tokenizer; expected 'type': 'byte' and 'special_tokens'"),
        (b'{"type": "byte", "special_tokens": [""]}', "special token is ''"),
        (b'{"type": "char", "symbols": [1]}', "symbol is 1; expected a character or a special token"),
        (b'{"type": "char"}', "is not a character tokenizer"),
        (b'{"model": {}, "x": "\xff"}', "is not UTF-8: byte 0xff at offset 20"),
        (b"PK\x03\x04 some archive", "begins with b'PK\\x03\\x04 some archive'; expected JSON or"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_unknown_content_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        tokenizers.load(tmp_path)
    assert words in str(error.value)
    assert str(tmp_path / "tokenizer.json") in str(error.value)


def test_missing_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing does not exist; expected a tokenizer file"):
        tokenizers.load(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no tokenizer; expected one of tokenizer"):
        tokenizers.load(tmp_path)


def test_a_tokenizer_that_load_would_not_find_is_not_saved(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"another")
    with pytest.raises(
        InputError, match=r"tokenizer\.json: tokenizer\.model already exists there; choose another"
    ):
        tokenizers.save(ByteTokenizer(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.model"]


def test_importing_tokenizers_imports_no_optional_library() -> None:
    code = (
        "import sys, scratchgpt.tokenizers;"
        "print({'sentencepiece', 'google', 'tokenizers', 'tiktoken', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
