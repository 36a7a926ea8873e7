"""Tokenizers of every kind as Hugging Face's tokenizer.json: the same ids and the same text.

One thing differs in use: there a special token's name in a text is always that token.
"""

import json
from pathlib import Path
from typing import Any

from scratchgpt import tokenizers
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from scratchgpt.tokenizers.file_content import json_object, prefix_errors, read_content
from scratchgpt.tokenizers.special_tokens import UNK
from scratchgpt.tokenizers.split_patterns import GPT2

EVERY_CHARACTER = {
    "type": "Split",
    "pattern": {"Regex": r"[\s\S]"},
    "behavior": "Isolated",
    "invert": False,
}
TOGETHER = {"type": "Fuse"}  # a decoder that puts nothing between two tokens


def tokenizer_json(tokenizer: Tokenizer) -> bytes:
    """Return the content of a tokenizer.json.

    Raises:
        InputError: a SentencePiece model, or a special token with the name of another token.
    """
    if isinstance(tokenizer, CharTokenizer):
        return json.dumps(_of_characters(tokenizer), ensure_ascii=False, indent=2).encode("utf-8")
    if isinstance(tokenizer, ByteTokenizer):
        return as_bpe(tokenizer).to_bytes()
    if isinstance(tokenizer, BPETokenizer):
        return tokenizer.to_bytes()
    raise InputError(
        f"the tokenizer is a {type(tokenizer).__name__}; expected one of characters, bytes or BPE: a "
        "tokenizer.json would take the text <0x41> for the byte 0x41, which SentencePiece does not, so ids "
        "would differ"
    )


def as_bpe(tokenizer: ByteTokenizer) -> BPETokenizer:
    """Return the tokenizer of bytes as a byte-pair encoding without a single merge."""
    return BPETokenizer({bytes([i]): i for i in range(256)}, [], GPT2, tokenizer.special_ids)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer in a folder of Hugging Face's.

    One of characters must be as `tokenizer_json` writes it.

    Raises:
        InputError: there is none, or it is damaged or of a kind that we cannot represent.
    """
    path = folder / "tokenizer.json"
    if path.exists():
        content = json_object(read_content(path), str(path))
        model = content.get("model")
        if isinstance(model, dict) and model.get("type") == "WordLevel":
            return _to_characters(content, model, str(path))
    return tokenizers.load(folder)


def _of_characters(tokenizer: CharTokenizer) -> dict[str, Any]:
    """Return a model of whole words, with a pre-tokenizer that makes a word of every character."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": name, **flags, "special": True} for name, i in tokenizer.special_ids.items()
        ],
        "normalizer": None,
        "pre_tokenizer": EVERY_CHARACTER,
        "post_processor": None,
        "decoder": TOGETHER,
        "model": {
            "type": "WordLevel",
            "vocab": {symbol: i for i, symbol in enumerate(tokenizer.symbols)},
            "unk_token": UNK,  # if the vocabulary lacks it, an unknown character is an error there as here
        },
    }


def _to_characters(content: dict[str, Any], model: dict[str, Any], name: str) -> CharTokenizer:
    for key, ours in (("normalizer", None), ("pre_tokenizer", EVERY_CHARACTER), ("decoder", TOGETHER)):
        if content.get(key) != ours:
            raise InputError(
                f"{name}: its model is WordLevel and {key} is {content.get(key)!r:.80}; expected {ours!r}, "
                "which makes a word of every character"
            )
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or sorted(map(repr, vocabulary.values())) != sorted(
        map(repr, range(len(vocabulary)))
    ):
        raise InputError(f"{name}: model.vocab is {vocabulary!r:.60}; expected every id from 0 on once")
    with prefix_errors(name):
        return CharTokenizer(sorted(vocabulary, key=lambda symbol: vocabulary[symbol]))
