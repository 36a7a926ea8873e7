"""Reading the text of a run: its tokenizer, its tokens, and what to ask of its model."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rich.console import Console

from scratchgpt import data, tokenizers
from scratchgpt.config import GPTConfig
from scratchgpt.corpora import Corpus
from scratchgpt.corpora.special_tokens import with_special_tokens
from scratchgpt.data.prepare import LARGE_TEXT
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.special_tokens import PAD, UNK
from scratchgpt.tokenizers.training import train_tokenizer
from scratchgpt.training.budget import with_steps
from scratchgpt.training.settings import RunSettings
from scratchgpt.utils.cache_folder import cache_folder
from scratchgpt.utils.progress_bar import progress_bar
from scratchgpt.utils.words import counted


def tokenizer_for(
    settings: RunSettings, corpus: Corpus, console: Console, existing: Tokenizer | None = None
) -> Tokenizer:
    """Return the tokenizer that a run asks for: loaded, or made for its text, which is then read once.

    It has the special tokens that the text names. One that is loaded gets those that it lacks.

    Args:
        settings: what is asked for.
        corpus: the text.
        console: where to say what is done.
        existing: a tokenizer to take instead of another one.

    Raises:
        InputError: no such tokenizer, one that takes no more special tokens, or a text that cannot be read.
    """
    asked = settings.tokenizer
    if asked.path is not None:
        existing = tokenizers.load(asked.path)
    if existing:
        needed = [name for name in corpus.specials if name != PAD]  # padding is no text
        return _completed(existing, [PAD] * asked.pad + [*needed, *asked.special_tokens], console)
    names = [PAD] * asked.pad + [UNK] * asked.unk + [*corpus.specials, *asked.special_tokens]
    names = list(dict.fromkeys(names))  # each once, in this order
    pieces = with_special_tokens(corpus, names).pieces
    made = train_tokenizer(
        asked.kind,
        (piece.text for piece in pieces() if not piece.special),
        vocab_size=asked.vocab_size,
        pattern=asked.pattern,
        special_tokens=names,
        bar=partial(progress_shown, console),
    )
    if asked.kind in ("bpe", "sentencepiece") and made.vocab_size < asked.vocab_size:
        console.print(f"the text yields a vocabulary of {made.vocab_size:,} tokens, not {asked.vocab_size:,}")
    return made


def tokens_of(corpus: Corpus, tokenizer: Tokenizer, console: Console) -> data.TokenFile:
    """Return the tokens of a text, from the cache if they are there; see `data.prepare`."""
    with progress_shown(console, "cutting {} characters into tokens") as show:

        def progress(done: int, total: int | None) -> None:
            if total is not None or console.is_terminal:  # no line for a text that is in the cache
                show(done, total)

        text = data.prepare(corpus, tokenizer, cache=cache_folder(), progress=progress)
    if corpus.summary:
        console.print(f"{corpus.summary}, {counted(len(text.ends), 'document')}")
    return text


def resolved(
    settings: RunSettings, corpus: Corpus, tokenizer: Tokenizer, config: GPTConfig, rows: data.Rows
) -> RunSettings:
    """Return the settings with what only the text and the model tell, so that they can repeat the run.

    That is the text's own prompt if there is no other and it fits into a block, the number of steps that
    the budget comes to on the training rows, and of a model that begins with another one's weights the
    whole shape.
    """
    settings = dataclasses.replace(settings, training=with_steps(settings.training, rows))
    if settings.init_from:
        settings = dataclasses.replace(settings, model=dataclasses.asdict(config))
    return prompted(settings, corpus, tokenizer, config.block_size)


def prompted(settings: RunSettings, corpus: Corpus, tokenizer: Tokenizer, block_size: int) -> RunSettings:
    """Return the settings with the text's own prompt if they have none and it fits into a block."""
    prompt = corpus.prompt
    if settings.generation.prompt is not None or prompt is None:
        return settings
    try:
        fits = len(tokenizer.encode(prompt, allow_special=True)) <= block_size
    except InputError:  # a character that the text lacks
        fits = False
    if not fits:
        return settings
    return dataclasses.replace(settings, generation=dataclasses.replace(settings.generation, prompt=prompt))


@contextmanager
def progress_shown(console: Console, what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function of (done, total), as `progress_bar` does; no terminal gets a line before and after.

    Those lines come for a large text only.

    Args:
        console: where to.
        what: what goes on, with {} in the place of how many.
    """
    started: float | None = None
    n_done = 0
    with progress_bar(console, what.replace("{} ", "")) as show:

        def shown(done: int, total: int | None) -> None:
            nonlocal started, n_done
            n_done = done
            if started is None and (total or done) >= LARGE_TEXT and not console.is_terminal:
                started = time.perf_counter()
                console.print(what.format(f"more than {done:,}" if total is None else f"{total:,}") + " ...")
            show(done, total)

        yield shown
    if started is not None:
        console.print(f"{what.format(f'{n_done:,}')} took {time.perf_counter() - started:.0f} s")


def nats_per_token(corpus: Corpus, part: data.Part) -> float | None:
    """Return the entropy of a part of a text, where it is known: no model predicts its tokens better."""
    if corpus.nats_per_document is None:
        return None
    return corpus.nats_per_document * len(part.ends) / len(part)


def _completed(tokenizer: Tokenizer, names: Sequence[str], console: Console) -> Tokenizer:
    """Return the tokenizer with the special tokens of these names that it lacks."""
    missing = [name for name in dict.fromkeys(names) if name not in tokenizer.special_ids]
    if not missing:
        return tokenizer
    completed = tokenizer.with_special_tokens(missing)
    console.print(f"special tokens added to the tokenizer: {' '.join(missing)}")
    return completed
