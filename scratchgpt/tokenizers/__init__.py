"""Text to token ids and back: tokenizers of several kinds, and the files that hold them."""

import codecs
from pathlib import Path

from scratchgpt.errors import InputError
from scratchgpt.tokenizers import gpt2_files, huggingface_reading
from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.byte import ByteTokenizer
from scratchgpt.tokenizers.char import CharTokenizer
from scratchgpt.tokenizers.contents import json_object, read_content
from scratchgpt.tokenizers.sentencepiece import SentencePieceTokenizer
from scratchgpt.utils.files import atomic_path, make_folder

__all__ = [
    "BPETokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "SentencePieceTokenizer",
    "Tokenizer",
    "from_bytes",
    "load",
    "save",
]

FILES = ("tokenizer.json", "tokenizer.model")


def load(path: str | Path) -> Tokenizer:
    """Return the tokenizer in a file, or in a folder: a run's, Hugging Face's, or one with GPT-2's files.

    Raises:
        InputError: there is none, or it is damaged or of a kind that we cannot represent.
    """
    path = Path(path)
    if not path.is_dir():
        return from_bytes(read_content(path), str(path))
    for file in FILES:
        if (path / file).exists():
            return from_bytes(read_content(path / file), str(path / file))
    if any((path / name).exists() for names in gpt2_files.NAMES for name in names):
        return gpt2_files.load_gpt2(path)
    raise InputError(
        f"{path} holds no tokenizer; expected one of {', '.join(FILES)}, "
        + ", ".join(" with ".join(names) for names in gpt2_files.NAMES)
    )


def save(tokenizer: Tokenizer, folder: str | Path) -> Path:
    """Write a tokenizer into a folder, as tokenizer.json, or tokenizer.model if it is SentencePiece's.

    Returns:
        The path of the file.

    Raises:
        InputError: the folder cannot be written to, or holds the file of another kind of tokenizer.
    """
    is_model = isinstance(tokenizer, SentencePieceTokenizer)
    file, other = (make_folder(folder) / name for name in (FILES[is_model], FILES[not is_model]))
    if other.exists():
        raise InputError(f"{other} is there already; expected a folder without, for a {file.name}")
    with atomic_path(file) as temporary:
        temporary.write_bytes(tokenizer.to_bytes())
    return file


def from_bytes(content: bytes, name: str) -> Tokenizer:
    """Return the tokenizer in the content of the file called `name`, after finding out its kind.

    Raises:
        InputError: damaged, or of a kind that we cannot represent.
    """
    if content[:1] == b"\n" and not content.lstrip().startswith(b"{"):  # the first field of a ModelProto
        return SentencePieceTokenizer.from_bytes(content, name)
    if content.removeprefix(codecs.BOM_UTF8).lstrip()[:1] not in (b"", b"{", b"["):
        raise InputError(f"{name} begins with {content[:20]!r}; expected JSON or a SentencePiece model")
    found = json_object(content, name)
    if "model" in found:
        return huggingface_reading.from_json(content, name)
    kind = found.get("type")
    if kind == "char":
        return CharTokenizer.from_bytes(content, name)
    if kind == "byte":
        return ByteTokenizer.from_bytes(content, name)
    keys = ", ".join(map(repr, list(found)[:4]))
    holds = (
        f"with 'type': {kind!r}" if "type" in found else f"with the keys {keys}" if keys else "without keys"
    )
    raise InputError(
        f"{name} holds JSON {holds}; expected 'type': 'char' or 'byte', "
        "or a Hugging Face tokenizer.json, which has a 'model'"
    )
