"""Decoding one token at a time, in whole characters."""

import codecs
from collections.abc import Iterable, Iterator

from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.byte import ByteTokenizer
from scratchgpt.tokenizers.sentencepiece import SentencePieceTokenizer


def stream_text(tokenizer: Tokenizer, ids: Iterable[int], *, continuation: bool = False) -> Iterator[str]:
    """Yield the text of tokens as soon as it is certain; the pieces joined are `tokenizer.decode(ids)`.

    A token may end in the middle of a character. Its bytes, 3 at most, are held back until the character is
    complete or can no longer become one. Nothing else is buffered, so the cost per token does not grow. A
    token that adds no text yields nothing.

    Args:
        tokenizer: any kind.
        ids: the tokens, consumed lazily, one at a time.
        continuation: whether they continue an earlier text. Then the first token of a SentencePiece model
            keeps its leading space.

    Raises:
        InputError: an id outside [0, vocab_size).
    """
    utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in bytes_by_token(tokenizer, ids, continuation=continuation):
        if text := utf8.decode(token):
            yield text
    if rest := utf8.decode(b"", final=True):
        yield rest


def bytes_by_token(
    tokenizer: Tokenizer, ids: Iterable[int], *, continuation: bool = False
) -> Iterator[bytes]:
    """Yield the bytes of each token in turn; the arguments are those of `stream_text`."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return tokenizer.bytes_by_token(ids, continuation=continuation)
    if isinstance(tokenizer, BPETokenizer | ByteTokenizer):
        return (tokenizer.decode_bytes([i]) for i in ids)
    return (tokenizer.decode([i]).encode("utf-8") for i in ids)  # its tokens are whole characters
