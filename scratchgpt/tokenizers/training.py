"""Making a tokenizer of any kind for a text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeAlias

from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.bpe_training import check_size, count_chunks, train_bpe
from scratchgpt.tokenizers.byte import ByteTokenizer
from scratchgpt.tokenizers.char import CharTokenizer
from scratchgpt.tokenizers.sentencepiece import SentencePieceTokenizer
from scratchgpt.tokenizers.special_names import check_names
from scratchgpt.tokenizers.split_patterns import pattern_named

Kind = Literal["char", "byte", "bpe", "sentencepiece"]
# Gives a function that shows (done, of how many); None: that is not known.
Bar: TypeAlias = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]

SHOWN = 2**18  # characters between two looks at the progress


def train_tokenizer(
    kind: Kind,
    texts: Iterable[str],
    *,
    vocab_size: int,
    pattern: str,
    special_tokens: Sequence[str],
    bar: Bar,
) -> Tokenizer:
    """Return a new tokenizer; the text is read once, and not at all for bytes.

    Args:
        kind: of which kind.
        texts: the text in pieces.
        vocab_size: of "bpe" and "sentencepiece": number of ids, special tokens included, at most.
        pattern: of "bpe": how text is split, see `pattern_named`.
        special_tokens: their names.
        bar: shows progress, given what it is that goes on, with {} in the place of how many.

    Raises:
        InputError: a setting that is none, known before the text is read where that goes; no text.
    """
    check_names(special_tokens)
    if kind == "byte":
        return ByteTokenizer(special_tokens)
    pattern = pattern_named(pattern) if kind == "bpe" else ""
    with bar("reading {} characters for the tokenizer") as show:
        texts = _counted(texts, show)
        if kind == "char":
            return CharTokenizer.train(texts, specials=special_tokens)
        if kind == "sentencepiece":
            return SentencePieceTokenizer.train(texts, vocab_size, special_tokens)
        check_size(vocab_size, special_tokens)
        chunks = count_chunks(texts, pattern)
    with bar("merging {} pairs for the tokenizer") as show:
        return train_bpe(chunks, vocab_size, pattern, special_tokens, show)


def _counted(texts: Iterable[str], show: Callable[[int, int | None], None]) -> Iterator[str]:
    """Yield the texts, and show how many characters they have had."""
    done = shown = 0
    for text in texts:
        yield text
        done += len(text)
        if done >= shown + SHOWN:
            shown = done
            show(done, None)
    show(done, None)
