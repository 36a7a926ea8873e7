"""Convert tokenizers to and from Hugging Face's tokenizer.json: same ids, same text.

One difference in use: there, the name of a special token in a text is always parsed as that token.
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
JOIN_TOKENS = {"type": "Fuse"}  # a decoder that puts nothing between two tokens


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
        f"a {type(tokenizer).__name__} cannot become a tokenizer.json: it would parse the text <0x41> as the "
        "byte 0x41, which SentencePiece does not, so ids would differ; expected a character, byte or BPE "
        "tokenizer"
    )


def as_bpe(tokenizer: ByteTokenizer) -> BPETokenizer:
    """Return a byte tokenizer as a byte-level BPE without merges."""
    return BPETokenizer({bytes([i]): i for i in range(256)}, [], GPT2, tokenizer.special_ids)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer in a Hugging Face folder.

    A character tokenizer must have the form that `tokenizer_json` writes.

    Raises:
        InputError: there is none, it is damaged, or its kind is not supported.
    """
    path = folder / "tokenizer.json"
    if path.exists():
        content = json_object(read_content(path), str(path))
        model = content.get("model")
        if isinstance(model, dict) and model.get("type") == "WordLevel":
            return _to_characters(content, model, str(path))
    return tokenizers.load(folder)


def _of_characters(tokenizer: CharTokenizer) -> dict[str, Any]:
    """Return a word-level model whose pre-tokenizer makes every character a word."""
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
        "decoder": JOIN_TOKENS,
        "model": {
            "type": "WordLevel",
            "vocab": {symbol: i for i, symbol in enumerate(tokenizer.symbols)},
            "unk_token": UNK,  # not in the vocabulary: an unknown character is an error, as it is here
        },
    }


def _to_characters(content: dict[str, Any], model: dict[str, Any], name: str) -> CharTokenizer:
    for key, ours in (("normalizer", None), ("pre_tokenizer", EVERY_CHARACTER), ("decoder", JOIN_TOKENS)):
        if content.get(key) != ours:
            raise InputError(
                f"{name}: its model is WordLevel and {key} is {content.get(key)!r:.80}; expected {ours!r}, "
                "which makes every character a word"
            )
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or sorted(map(repr, vocabulary.values())) != sorted(
        map(repr, range(len(vocabulary)))
    ):
        raise InputError(f"{name}: model.vocab is {vocabulary!r:.60}; expected each id from 0 exactly once")
    with prefix_errors(name):
        return CharTokenizer(sorted(vocabulary, key=lambda symbol: vocabulary[symbol]))
