"""Reading the text of a run: its tokenizer, and its tokens."""

from collections.abc import Iterator

from rich.console import Console

from scratchgpt import data, tokenizers
from scratchgpt.cache_folder import cache_folder
from scratchgpt.corpora import Corpus
from scratchgpt.progress import progress_bar
from scratchgpt.settings import RunSettings
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer, SentencePieceTokenizer, Tokenizer
from scratchgpt.tokenizers.base import PAD, UNK
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.split_patterns import pattern_named


def tokenizer_for(settings: RunSettings, corpus: Corpus, console: Console) -> Tokenizer:
    """Return the tokenizer that a run asks for: loaded, or made for its text, which is then read once.

    A tokenizer that is made has the special tokens that the text names.

    Raises:
        InputError: no such tokenizer, or a text that cannot be read.
    """
    asked = settings.tokenizer
    if asked.path is not None:
        return tokenizers.load(asked.path)
    specials = [PAD] * asked.pad + [UNK] * asked.unk + [*corpus.specials, *asked.special_tokens]
    specials = list(dict.fromkeys(specials))  # each once, in this order
    if asked.kind == "char":
        return CharTokenizer.train(_texts(corpus), specials=specials)
    if asked.kind == "byte":
        return ByteTokenizer(specials)
    if asked.kind == "sentencepiece":
        return SentencePieceTokenizer.train(_texts(corpus), asked.vocab_size, specials)
    pattern = pattern_named(asked.pattern)
    with progress_bar(console, "merges of the tokenizer") as show:
        return train_bpe(count_chunks(_texts(corpus), pattern), asked.vocab_size, pattern, specials, show)


def nats_per_token(corpus: Corpus, part: data.Part) -> float | None:
    """Return the entropy of a part of a text, where it is known: no model predicts its tokens better."""
    if corpus.nats_per_document is None:
        return None
    return corpus.nats_per_document * len(part.ends) / len(part)


def tokens_of(corpus: Corpus, tokenizer: Tokenizer, console: Console) -> data.TokenFile:
    """Return the tokens of a text, from the cache if they are there; see `data.prepare`."""
    with progress_bar(console, "characters of text") as show:
        return data.prepare(corpus, tokenizer, cache=cache_folder(), progress=show)


def _texts(corpus: Corpus) -> Iterator[str]:
    """Yield what of a corpus is text."""
    return (piece.text for piece in corpus.pieces() if not piece.special)
