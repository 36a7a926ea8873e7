"""Training a tokenizer of any kind on a text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeAlias

from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.bpe_training import check_size, count_chunks, train_bpe
from scratchgpt.tokenizers.byte import ByteTokenizer
from scratchgpt.tokenizers.char import CharTokenizer
from scratchgpt.tokenizers.sentencepiece import SentencePieceTokenizer
from scratchgpt.tokenizers.special_tokens import check_names
from scratchgpt.tokenizers.split_patterns import pattern_named

Kind = Literal["char", "byte", "bpe", "sentencepiece"]
# Takes a description; gives a function of (done, total) that shows progress; a total of None is unknown.
Bar: TypeAlias = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]

PROGRESS_INTERVAL = 2**18  # characters between two updates


def train_tokenizer(
    kind: Kind,
    texts: Iterable[str],
    *,
    vocab_size: int,
    pattern: str,
    special_tokens: Sequence[str],
    bar: Bar,
) -> Tokenizer:
    """Return a new tokenizer, reading the text once; the "byte" kind needs no text and does not read it.

    Args:
        kind: "char", "byte", "bpe" or "sentencepiece".
        texts: the text in pieces.
        vocab_size: for "bpe" and "sentencepiece": the maximum number of ids, special tokens included.
        pattern: for "bpe": how text is split into chunks, see `pattern_named`.
        special_tokens: their names.
        bar: shows progress; it is called with a description in which {} stands for the number of items.

    Raises:
        InputError: an invalid setting, detected before the text is read where possible; or there is no text.
    """
    check_names(special_tokens)
    if kind == "byte":
        return ByteTokenizer(special_tokens)
    pattern = pattern_named(pattern) if kind == "bpe" else ""
    with bar("reading {} characters for the tokenizer") as show:
        texts = _reporting_progress(texts, show)
        if kind == "char":
            return CharTokenizer.train(texts, specials=special_tokens)
        if kind == "sentencepiece":
            return SentencePieceTokenizer.train(texts, vocab_size, special_tokens)
        check_size(vocab_size, special_tokens)
        chunks = count_chunks(texts, pattern)
    with bar("merging {} pairs for the tokenizer") as show:
        return train_bpe(chunks, vocab_size, pattern, special_tokens, show)


def _reporting_progress(texts: Iterable[str], show: Callable[[int, int | None], None]) -> Iterator[str]:
    """Yield the texts, and show the number of characters so far."""
    done = shown = 0
    for text in texts:
        yield text
        done += len(text)
        if done >= shown + PROGRESS_INTERVAL:
            shown = done
            show(done, None)
    show(done, None)
