"""Tokenizers: characters, bytes, BPE and SentencePiece, and reading and writing their files."""

import codecs
from pathlib import Path

from scratchgpt.errors import InputError
from scratchgpt.tokenizers import gpt2_files, huggingface_reading
from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.byte import ByteTokenizer
from scratchgpt.tokenizers.char import CharTokenizer
from scratchgpt.tokenizers.file_content import json_object, read_content
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

FILE_NAMES = ("tokenizer.json", "tokenizer.model")


def load(path: str | Path) -> Tokenizer:
    """Load the tokenizer from a file or a folder: a run's, Hugging Face's, or one with GPT-2's two files.

    Raises:
        InputError: there is no tokenizer, it is damaged, or it is of an unsupported kind.
    """
    path = Path(path)
    if not path.is_dir():
        return from_bytes(read_content(path), str(path))
    for file in FILE_NAMES:
        if (path / file).exists():
            return from_bytes(read_content(path / file), str(path / file))
    if any((path / name).exists() for names in gpt2_files.FILE_PAIRS for name in names):
        return gpt2_files.load_gpt2(path)
    raise InputError(
        f"{path} holds no tokenizer; expected one of {', '.join(FILE_NAMES)}, "
        + ", ".join(" with ".join(names) for names in gpt2_files.FILE_PAIRS)
    )


def save(tokenizer: Tokenizer, folder: str | Path) -> Path:
    """Write a tokenizer to a folder, as tokenizer.json, or as tokenizer.model for SentencePiece.

    Returns:
        The path of the file.

    Raises:
        InputError: the folder is not writable, or already holds a tokenizer file of the other name.
    """
    is_model = isinstance(tokenizer, SentencePieceTokenizer)
    file, other = (make_folder(folder) / name for name in (FILE_NAMES[is_model], FILE_NAMES[not is_model]))
    if other.exists():
        raise InputError(f"cannot save {file}: {other.name} already exists there; choose another folder")
    with atomic_path(file) as temporary:
        temporary.write_bytes(tokenizer.to_bytes())
    return file


def from_bytes(content: bytes, name: str) -> Tokenizer:
    """Return the tokenizer in the content of the file called `name`; the kind is detected from the content.

    Raises:
        InputError: the content is damaged, or the tokenizer is of an unsupported kind.
    """
    if content[:1] == b"\n" and not content.lstrip().startswith(b"{"):  # the first byte of a ModelProto
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
