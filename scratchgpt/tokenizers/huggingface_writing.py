"""Writing a BPE tokenizer as a tokenizer.json for Hugging Face's library `tokenizers`: same ids, same text.

One difference remains: that library always parses the names of special tokens in a text, ours only with
`allow_special`.
"""

import json
from collections.abc import Mapping, Sequence

from scratchgpt.errors import InputError
from scratchgpt.tokenizers.bytes_to_unicode import letters_of
from scratchgpt.tokenizers.split_patterns import GPT2


def to_json(
    token_ids: Mapping[bytes, int],
    merges: Sequence[tuple[bytes, bytes]],
    pattern: str,
    special_ids: Mapping[str, int],
) -> bytes:
    """Return the content of a tokenizer.json; equal tokenizers give equal bytes.

    The arguments are the attributes of a `BPETokenizer`.

    Hugging Face compiles split patterns with Oniguruma, whose syntax differs in places: `{1,3}+` is not
    possessive there.

    Raises:
        InputError: the file would write a special token and an ordinary token the same way.
    """
    ids = {letters_of(token): i for token, i in token_ids.items()}
    for name in special_ids:
        if name in ids:
            raise InputError(
                f"special token {name!r} is spelled like ordinary token {ids[name]}; choose another name"
            )
    ids |= special_ids
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    sequence = {"type": "Sequence", "pretokenizers": [split, byte_level | {"use_regex": False}]}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": name, **flags, "special": True}
            for name, i in sorted(special_ids.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level if pattern == GPT2 else sequence,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(sorted(ids.items(), key=lambda item: item[1])),
            "merges": [f"{letters_of(left)} {letters_of(right)}" for left, right in merges],
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=2).encode("utf-8")
