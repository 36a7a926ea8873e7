"""SentencePiece models, trained here or elsewhere, behind our tokenizer interface.

Google's library does the work (Kudo and Richardson, "SentencePiece", 2018, arXiv:1808.06226). This module
adds our treatment of special tokens, and decoding one token at a time.

A model trained here is lossless: no normalization, no dummy prefix, every run of spaces and every newline
kept, and out-of-vocabulary characters fall back to their UTF-8 bytes. One character does not survive: U+2581
(▁), which the library uses for a space, is decoded as a space. A loaded model keeps what it was trained to
keep; many collapse runs of white space, newlines included.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.id_checks import checked_ids
from scratchgpt.tokenizers.sentencepiece_training import SPACE, library, one_line, train_sentencepiece
from scratchgpt.tokenizers.special_tokens import SEP
from scratchgpt.tokenizers.utf8 import utf8_bytes

PROTOBUF_MODULE = "sentencepiece.sentencepiece_model_pb2"  # needs protobuf


class SentencePieceTokenizer:
    """A SentencePiece model.

    Its special tokens are the model's control symbols, `<unk>`, and the user-defined symbols except runs of
    white space. The library always parses user-defined symbols in a text, and never control symbols. So we
    keep two copies of the model: in one, all special tokens are control symbols; in the other, for
    `allow_special`, all except `<unk>` are user-defined symbols.

    Attributes:
        special_ids: the ids of the special tokens by name.
    """

    def __init__(self, model: bytes, name: str = "the SentencePiece model") -> None:
        """Load the content of a .model file; `name` is what error messages call it.

        Raises:
            InputError: the content is damaged, the model cannot be decoded here, or the library is missing.
        """
        if not model:
            raise InputError(f"{name} is empty; expected a SentencePiece model")
        protobuf = library(PROTOBUF_MODULE)
        self._content = model
        self._kinds = protobuf.ModelProto.SentencePiece
        try:
            library().SentencePieceProcessor(model_proto=model)  # checks more than protobuf's parser does
            self._model = protobuf.ModelProto.FromString(model)
            self._token_bytes = [self._bytes_of(piece) for piece in self._model.pieces]
        except Exception as error:  # the library and protobuf share no base class of errors
            raise InputError(f"{name} is not a SentencePiece model: {one_line(error)}") from None
        if self._model.trainer_spec.treat_whitespace_as_suffix:
            raise InputError(
                f"{name} puts spaces after words (treat_whitespace_as_suffix); expected a model with spaces "
                "before words"
            )
        if self._model.denormalizer_spec.precompiled_charsmap:
            raise InputError(f"{name} rewrites decoded text (denormalizer); expected a model that does not")
        self.special_ids = {
            piece.piece: i for i, piece in enumerate(self._model.pieces) if self._is_special(piece)
        }
        self._ordinary = self._processor(self._kinds.CONTROL)
        self._with_names = self._processor(self._kinds.USER_DEFINED)
        normalizer = self._model.normalizer_spec
        self._has_dummy_prefix = normalizer.add_dummy_prefix or normalizer.remove_extra_whitespaces

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = (SEP,)
    ) -> "SentencePieceTokenizer":
        """Train a unigram model; its ids begin with `<pad>`, `<unk>`, `<s>`, `</s>`, `special_tokens`.

        Args:
            texts: the training text; the library keeps all of it in memory.
            vocab_size: the maximum number of ids, including the special tokens, 256 bytes and every
                character of the texts; a short text may yield fewer.
            special_tokens: further special tokens, which become user-defined symbols of the model.

        Raises:
            InputError: there is no text, the vocabulary is too small, a name has white space, or the library
                is missing.
        """
        library(PROTOBUF_MODULE)  # fail before training rather than after
        return cls(train_sentencepiece(texts, vocab_size, special_tokens))

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self._token_bytes)

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the ids of a text as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: parse the names of special tokens in the text as those tokens, except `<unk>`.

        Raises:
            InputError: the text has a lone surrogate.
        """
        processor = self._with_names if allow_special else self._ordinary
        return np.array(processor.encode(utf8_bytes(text)), dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; special tokens are written as their names, invalid UTF-8 as U+FFFD.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids, valid UTF-8 or not; special tokens are written as their names.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return b"".join(self.bytes_by_token(ids))

    def bytes_by_token(self, ids: Iterable[int], *, continuation: bool = False) -> Iterator[bytes]:
        """Yield the bytes of each token in turn.

        If the model puts a space before every text (its dummy prefix), the first ordinary token loses it.

        Args:
            ids: the tokens.
            continuation: whether they continue an earlier text, so that a leading space belongs to the text.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        special = set(self.special_ids.values())
        has_dummy_prefix = self._has_dummy_prefix and not continuation
        for i in checked_ids(ids, self.vocab_size):
            if has_dummy_prefix and i not in special:
                has_dummy_prefix = False
                yield self._token_bytes[i].removeprefix(b" ")
            else:
                yield self._token_bytes[i]

    def with_special_tokens(self, names: Sequence[str]) -> "SentencePieceTokenizer":
        """Raise an error: a SentencePiece model cannot be extended after training.

        Raises:
            InputError: always; the message says what to do instead.
        """
        raise InputError(
            f"the SentencePiece model lacks the special tokens {' '.join(names)}, and a trained model cannot "
            "get new ones; use a model trained with them: --tokenizer.kind sentencepiece instead of "
            "--tokenizer.path, or user_defined_symbols in your own training"
        )

    def to_bytes(self) -> bytes:
        """Return the content of the .model file."""
        return self._content

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "SentencePieceTokenizer":
        """Return the tokenizer stored in the content of the .model file called `name`.

        Raises:
            InputError: the content is damaged, the model cannot be decoded here, or the library is missing.
        """
        return cls(content, name)

    def _is_special(self, piece: Any) -> bool:
        if piece.type == self._kinds.USER_DEFINED:
            return bool(piece.piece.replace(SPACE, " ").strip())
        return piece.type in (self._kinds.CONTROL, self._kinds.UNKNOWN)

    def _bytes_of(self, piece: Any) -> bytes:
        if piece.type == self._kinds.BYTE:  # <0x41>
            return bytes.fromhex(piece.piece[3:5])
        return utf8_bytes(piece.piece if self._is_special(piece) else piece.piece.replace(SPACE, " "))

    def _processor(self, kind_of_special: int) -> Any:
        """Return the library's processor for a model whose special tokens but `<unk>` are of this kind."""
        for i in self.special_ids.values():
            if self._model.pieces[i].type != self._kinds.UNKNOWN:
                self._model.pieces[i].type = kind_of_special
        return library().SentencePieceProcessor(model_proto=self._model.SerializeToString())
