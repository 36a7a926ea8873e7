"""The text of tokens as they come, in whole characters."""

import codecs
from collections.abc import Iterable, Iterator

from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.byte import ByteTokenizer
from scratchgpt.tokenizers.sentencepiece import SentencePieceTokenizer


def stream_text(tokenizer: Tokenizer, ids: Iterable[int], *, goes_on: bool = False) -> Iterator[str]:
    """Yield the text of tokens as soon as it is certain; the pieces joined are `tokenizer.decode(ids)`.

    A token may end within a character. What is there of it, 3 bytes at most, is held back until the character
    is complete or cannot become one any more, and that is all that is kept: a token costs the same after any
    number of others. Nothing is yielded for a token that adds no text.

    Args:
        tokenizer: of any kind.
        ids: the tokens; they are read one at a time, each not before it is needed.
        goes_on: whether they continue a text. Then the first token of a SentencePiece model keeps its space.

    Raises:
        InputError: an id outside [0, vocab_size).
    """
    utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in bytes_by_token(tokenizer, ids, goes_on=goes_on):
        if text := utf8.decode(token):
            yield text
    if rest := utf8.decode(b"", final=True):
        yield rest


def bytes_by_token(tokenizer: Tokenizer, ids: Iterable[int], *, goes_on: bool = False) -> Iterator[bytes]:
    """Yield the bytes of one token after the other; the arguments are those of `stream_text`."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return tokenizer.bytes_by_token(ids, goes_on=goes_on)
    if isinstance(tokenizer, BPETokenizer | ByteTokenizer):
        return (tokenizer.decode_bytes([i]) for i in ids)
    return (tokenizer.decode([i]).encode("utf-8") for i in ids)  # its tokens are whole characters
