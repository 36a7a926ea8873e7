"""SentencePiece: a model of Google's library, trained here or elsewhere, as one of our tokenizers.

The library itself does the work (Kudo and Richardson, "SentencePiece", 2018, arXiv:1808.06226). What is ours
is what special tokens may do, and a decoding that can go on token by token.

A model that is trained here changes no text: no normalisation, no space put before it, every run of spaces
and every newline kept, and a character that the training text lacks becomes the bytes of its UTF-8. One
character does not survive: U+2581 (▁), with which the library writes a space, comes back as a space. A loaded
model keeps what it was trained to keep; many merge runs of spaces, newlines among them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.base import SEP
from scratchgpt.tokenizers.ids import checked
from scratchgpt.tokenizers.sentencepiece_training import SPACE, library, one_line, train_sentencepiece
from scratchgpt.tokenizers.utf8 import utf8_bytes

PROTOCOL = "sentencepiece.sentencepiece_model_pb2"  # needs protobuf


class SentencePieceTokenizer:
    """A SentencePiece model.

    Special are the model's control symbols, its `<unk>`, and its user-defined symbols but for runs of white
    space. The library itself finds user-defined symbols in any text, and control symbols in none. So it runs
    two copies of the model: in one every special token is a control symbol, in the other, for
    `allow_special`, each of them but `<unk>` is a user-defined symbol.

    Attributes:
        special_ids: the ids of the special tokens.
    """

    def __init__(self, model: bytes, name: str = "the SentencePiece model") -> None:
        """Take the content of a .model file; `name` is the file's, for messages.

        Raises:
            InputError: damaged, a model that we cannot decode, or the library is missing.
        """
        if not model:
            raise InputError(f"{name} is empty; expected a SentencePiece model")
        protocol = library(PROTOCOL)
        self._content = model
        self._kinds = protocol.ModelProto.SentencePiece
        try:
            library().SentencePieceProcessor(model_proto=model)  # sees more than whether it can be parsed
            self._model = protocol.ModelProto.FromString(model)
            self._token_bytes = [self._bytes_of(piece) for piece in self._model.pieces]
        except Exception as error:  # the library and protobuf have no common kind of error
            raise InputError(f"{name} is not a SentencePiece model: {one_line(error)}") from None
        if self._model.trainer_spec.treat_whitespace_as_suffix:
            raise InputError(
                f"{name} puts a space after each word; expected a model with spaces before words"
            )
        if self._model.denormalizer_spec.precompiled_charsmap:
            raise InputError(f"{name} rewrites the text that it decodes; expected a model that does not")
        self.special_ids = {
            piece.piece: i for i, piece in enumerate(self._model.pieces) if self._is_special(piece)
        }
        self._ordinary = self._processor(self._kinds.CONTROL)
        self._with_names = self._processor(self._kinds.USER_DEFINED)
        normaliser = self._model.normalizer_spec
        self._has_dummy_prefix = normaliser.add_dummy_prefix or normaliser.remove_extra_whitespaces

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = (SEP,)
    ) -> "SentencePieceTokenizer":
        """Return a new unigram model; its ids begin with `<pad>`, `<unk>`, `<s>`, `</s>`, `special_tokens`.

        Args:
            texts: what to train on; the library keeps all of it in memory.
            vocab_size: how many ids to have at most; a short text may not yield as many. The special tokens,
                256 bytes and every character of the texts are among them.
            special_tokens: more special tokens; they are user-defined symbols of the model.

        Raises:
            InputError: no text, a vocabulary too small, a name with white space, or the library is missing.
        """
        library(PROTOCOL)  # better missed now than after the training
        return cls(train_sentencepiece(texts, vocab_size, special_tokens))

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self._token_bytes)

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the ids of a text as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: whether the name of a special token, but for `<unk>`, becomes that token.

        Raises:
            InputError: half of a surrogate pair, which is no character.
        """
        processor = self._with_names if allow_special else self._ordinary
        return np.array(processor.encode(utf8_bytes(text)), dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; special tokens appear by their names, broken UTF-8 as U+FFFD.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids, whether or not they are UTF-8.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return b"".join(self.bytes_by_token(ids))

    def bytes_by_token(self, ids: Iterable[int], *, goes_on: bool = False) -> Iterator[bytes]:
        """Yield the bytes of one token after the other.

        If the model puts a space before every text, the first ordinary token loses it again.

        Args:
            ids: the tokens.
            goes_on: whether they continue a text, so that the first one's space is a space of the text.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        special = set(self.special_ids.values())
        has_dummy_prefix = self._has_dummy_prefix and not goes_on
        for i in checked(ids, self.vocab_size):
            if has_dummy_prefix and i not in special:
                has_dummy_prefix = False
                yield self._token_bytes[i].removeprefix(b" ")
            else:
                yield self._token_bytes[i]

    def with_special_tokens(self, names: Sequence[str]) -> "SentencePieceTokenizer":
        """Refuse: a trained model takes no more tokens.

        Raises:
            InputError: always; it says what to do.
        """
        raise InputError(
            f"the SentencePiece model lacks the special tokens {' '.join(names)}, and cannot be given any; "
            "expected a model trained with them (--tokenizer.kind sentencepiece instead of --tokenizer.path, "
            "or user_defined_symbols of your own training)"
        )

    def to_bytes(self) -> bytes:
        """Return the content of the .model file."""
        return self._content

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "SentencePieceTokenizer":
        """Return the tokenizer in the content of the .model file called `name`.

        Raises:
            InputError: damaged, a model that we cannot decode, or the library is missing.
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
        """Return the library's processor of the model, with every special token but `<unk>` of one kind."""
        for i in self.special_ids.values():
            if self._model.pieces[i].type != self._kinds.UNKNOWN:
                self._model.pieces[i].type = kind_of_special
        return library().SentencePieceProcessor(model_proto=self._model.SerializeToString())
