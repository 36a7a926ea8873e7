"""Training a SentencePiece model with Google's library.

The model is Kudo's unigram language model: "Subword Regularization", 2018, arXiv:1804.10959.
"""

import importlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scratchgpt.errors import InputError
from scratchgpt.tokenizers.special_tokens import BOS, EOS, PAD, UNK
from scratchgpt.tokenizers.utf8 import utf8_bytes

SPACE = "\u2581"  # stands for a space in the model's tokens


def train_sentencepiece(texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str]) -> bytes:
    """Train a model and return the content of its .model file; see `SentencePieceTokenizer.train`.

    Raises:
        InputError: there is no text, the vocabulary is too small, the library does not allow a special token,
            or it is not installed.
    """
    if vocab_size < 1:
        raise InputError(f"vocabulary size is {vocab_size}; expected at least 1")
    names = [name for name in dict.fromkeys(special_tokens) if name not in (PAD, UNK, BOS, EOS)]
    for name in names:
        if not name or SPACE in name or any(map(str.isspace, name)):
            raise InputError(f"special token is {name!r}; SentencePiece allows no empty names or white space")
    model, lines = io.BytesIO(), _Lines(texts)
    trainer = library().SentencePieceTrainer
    try:
        trainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            character_coverage=1.0,
            required_chars=SPACE,
            byte_fallback=True,
            **{"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3},
            **{"pad_piece": PAD, "unk_piece": UNK, "bos_piece": BOS, "eos_piece": EOS},
            user_defined_symbols=names,
            minloglevel=2,  # errors only
        )
    except (RuntimeError, ValueError) as error:
        if lines.failure:
            raise lines.failure from None
        reason = one_line(error) if lines.any else "there is no text to train on"
        if too_small := re.search(r"smaller than required_chars\. \d+ vs (\d+)", reason):
            raise InputError(
                f"vocabulary size is {vocab_size}; expected at least {too_small[1]} "
                "(the special tokens, 256 bytes and every character of the text)"
            ) from None
        raise InputError(f"SentencePiece cannot train with vocab_size {vocab_size}: {reason}") from None
    return model.getvalue()


class _Lines:
    """The texts in short lines, because the library skips sentences of more than 4192 bytes.

    Attributes:
        any: whether there has been a line.
        failure: the exception that reading the texts raised; the library replaces it by a RuntimeError.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.any = False
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for text in self._texts:
                for line in re.finditer(r"[^\n]{1,1000}\n?|\n", text):  # a character has at most 4 bytes
                    self.any = True
                    yield utf8_bytes(line[0])
        except BaseException as error:
            self.failure = error
            raise


def library(name: str = "sentencepiece") -> Any:
    """Import a module of the library, which is an optional dependency.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # missing, or protobuf is older than the version the library was built with
        raise InputError(
            f"cannot import {name}: {one_line(error)}; "
            "install it with pip install 'scratchgpt[sentencepiece]'"
        ) from None


def one_line(error: Exception) -> str:
    """Return the library's error message on one line, without the location in its source code."""
    message = " ".join(str(error).split())
    return re.sub(r"^\w+: \S+\(\d+\) \[.*?\] (?=\S)", "", message) or type(error).__name__
