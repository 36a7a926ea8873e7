"""Reading BPE tokenizers from Hugging Face's tokenizer.json: same ids, same text.

A tokenizer.json can describe more than a BPETokenizer can do. A setting that would change an id or a text
raises an error that names it. Steps applied to the ids afterwards, such as adding a token at the beginning
(`post_processor`), are ignored: they are up to the program.
"""

import json
from collections.abc import Sequence
from typing import Any

from scratchgpt.errors import InputError
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.bpe_merging import merge
from scratchgpt.tokenizers.bytes_to_unicode import letters_of
from scratchgpt.tokenizers.file_content import json_object, prefix_errors
from scratchgpt.tokenizers.gpt2_files import build_tokenizer, checked_vocabulary
from scratchgpt.tokenizers.split_patterns import GPT2
from scratchgpt.tokenizers.utf8 import utf8_bytes

NO_NORMALIZER = (None, {"type": "Sequence", "normalizers": []})
# Fields of the model, with the values that turn the feature off. `unk_token` does not matter: with all 256
# bytes in the vocabulary, it never occurs.
MODEL_FIELDS = {
    "type": ("BPE", None),  # old files omit it
    "dropout": (None, 0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (False, None),
}


def from_json(content: bytes, name: str) -> BPETokenizer:
    """Return the tokenizer in the content of the tokenizer.json called `name`: any byte-level BPE.

    Every added token becomes a special token, even if the file does not mark it as special.

    Raises:
        InputError: the content is damaged, or has a feature that a BPETokenizer lacks; the message names it.
    """
    found = json_object(content, name)
    for key in ("truncation", "padding"):
        _expect(name, key, found.get(key), (None,))
    _expect(name, "normalizer", found.get("normalizer"), NO_NORMALIZER)
    model = _mapping(name, "model", found.get("model"))
    for key, values in MODEL_FIELDS.items():
        _expect(name, f"model.{key}", model.get(key), values)
    decoder = _mapping(name, "decoder", found.get("decoder"))
    _expect(name, "decoder.type", decoder.get("type"), ("ByteLevel",))

    pattern = _pattern(found.get("pre_tokenizer"), name)
    vocabulary = _mapping(name, "model.vocab", model.get("vocab"))
    special_ids = _added_tokens(found.get("added_tokens") or [], name)
    for token, i in special_ids.items():
        _expect(name, f"the id of added token {token!r}", i, (vocabulary.get(token, i),))
    ids = checked_vocabulary({**vocabulary, **special_ids}, name)
    tokenizer = build_tokenizer(ids, _merges(model.get("merges"), name), pattern, name, special_ids)
    if model.get("ignore_merges"):
        _check_every_token_is_reachable(tokenizer, name)
    return tokenizer


def _pattern(pre_tokenizer: Any, name: str) -> str:
    """Return the split pattern: GPT-2's, which ByteLevel contains, or that of a Split step before it."""
    part = _mapping(name, "pre_tokenizer", pre_tokenizer)
    parts = part.get("pretokenizers") if part.get("type") == "Sequence" else [part]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise InputError(f"{name}: pre_tokenizer.pretokenizers is {parts!r}; expected a list of objects")
    types = [part.get("type") for part in parts]
    if types not in (["ByteLevel"], ["Split", "ByteLevel"]):
        raise InputError(
            f"{name}: pre_tokenizer is {types}; expected ['ByteLevel'] or ['Split', 'ByteLevel']"
        )
    byte_level = parts[-1]
    _expect(name, "pre_tokenizer.add_prefix_space", byte_level.get("add_prefix_space", True), (False,))
    _expect(name, "pre_tokenizer.use_regex", byte_level.get("use_regex", True), (len(parts) == 1,))
    if len(parts) == 1:
        return GPT2
    split = parts[0]
    _expect(name, "pre_tokenizer.behavior", split.get("behavior"), ("Isolated",))
    regex = _mapping(name, "pre_tokenizer.pattern", split.get("pattern")).get("Regex")
    if not isinstance(regex, str):
        raise InputError(f"{name}: pre_tokenizer.pattern is {split['pattern']!r}; expected a Regex")
    with prefix_errors(name):
        utf8_bytes(regex)  # raises for a lone surrogate, which JSON can hold and UTF-8 cannot
    return regex


def _added_tokens(added: Any, name: str) -> dict[str, int]:
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise InputError(f"{name}: added_tokens is {added!r:.60}; expected a list of objects")
    ids = {}
    for token in added:
        text, i = token.get("content"), token.get("id")
        if not isinstance(text, str) or not text or text in ids:
            raise InputError(
                f"{name}: the content of added token {i!r} is {text!r}; expected a distinct, non-empty name"
            )
        for flag in ("single_word", "lstrip", "rstrip"):
            _expect(name, f"{flag} of added token {text!r}", token.get(flag, False), (False,))
        ids[text] = i
    return ids


def _merges(merges: Any, name: str) -> list[tuple[str, tuple[str, str]]]:
    """Return the merges, each with its place for messages; old files write "a b", newer ones ["a", "b"]."""
    if not isinstance(merges, list):
        raise InputError(f"{name}: model.merges is {merges!r:.60}; expected a list")
    pairs = []
    for i, pair in enumerate(merges):
        halves = pair.split(" ") if isinstance(pair, str) else pair
        if (
            not isinstance(halves, list)
            or len(halves) != 2
            or not all(isinstance(half, str) and half for half in halves)
        ):
            raise InputError(f"{name}: model.merges[{i}] is {pair!r:.60}; expected two tokens to merge")
        pairs.append((f"{name}: model.merges[{i}]", (halves[0], halves[1])))
    return pairs


def _check_every_token_is_reachable(tokenizer: BPETokenizer, name: str) -> None:
    """Check that the merges can build every token from its bytes; then `ignore_merges` has no effect."""
    ids = tokenizer.token_ids
    ranks = {(ids[left], ids[right]): rank for rank, (left, right) in enumerate(tokenizer.merges)}
    results = [ids[left + right] for left, right in tokenizer.merges]
    for token, i in ids.items():
        if merge([ids[bytes([byte])] for byte in token], ranks, results) != [i]:
            raise InputError(
                f"{name}: model.ignore_merges is true, and no merges build the token {letters_of(token)!r}; "
                "expected ignore_merges false"
            )


def _mapping(name: str, what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name}: {what} is {value!r:.60}; expected an object")
    return value


def _expect(name: str, what: str, value: Any, accepted: Sequence[Any]) -> None:
    if value not in accepted:
        raise InputError(f"{name}: {what} is {json.dumps(value):.80}; expected {json.dumps(accepted[0])}")
