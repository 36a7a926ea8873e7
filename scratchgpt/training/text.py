"""The text of a run: its tokenizer, its tokens, and the settings that depend on them."""

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
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.special_tokens import PAD, UNK
from scratchgpt.tokenizers.training import train_tokenizer
from scratchgpt.training.budget import with_steps
from scratchgpt.training.settings import RunSettings
from scratchgpt.utils.cache_folder import cache_folder
from scratchgpt.utils.progress_bar import progress_bar
from scratchgpt.utils.words import counted

ANNOUNCED_CHARACTERS = 4 * 2**20  # texts of this size take so long that a line should say what is happening


def load_or_train_tokenizer(
    settings: RunSettings, corpus: Corpus, console: Console, existing: Tokenizer | None = None
) -> Tokenizer:
    """Return the run's tokenizer: loaded from `tokenizer.path`, or trained in one pass over the text.

    It has all special tokens that the text and the settings name; a loaded tokenizer gets the missing ones.

    Args:
        settings: the run's settings.
        corpus: the text.
        console: where to report what happens.
        existing: the tokenizer of a resumed run or a fine-tuned model, used in place of a trained one.

    Raises:
        InputError: the tokenizer does not exist or accepts no special tokens, or the text cannot be read.
    """
    asked = settings.tokenizer
    if asked.path is not None:
        existing = tokenizers.load(asked.path)
    if existing:
        needed = [
            name for name in corpus.specials if name != PAD
        ]  # rows are padded, but no text contains <pad>
        return _add_special_tokens(existing, [PAD] * asked.pad + [*needed, *asked.special_tokens], console)
    names = [PAD] * asked.pad + [UNK] * asked.unk + [*corpus.specials, *asked.special_tokens]
    names = list(dict.fromkeys(names))  # without duplicates, in order
    pieces = with_special_tokens(corpus, names).pieces
    trained = train_tokenizer(
        asked.kind,
        (piece.text for piece in pieces() if not piece.special),
        vocab_size=asked.vocab_size,
        pattern=asked.pattern,
        special_tokens=names,
        bar=partial(announced_progress, console),
    )
    if asked.kind in ("bpe", "sentencepiece") and trained.vocab_size < asked.vocab_size:
        console.print(
            f"the text yields a vocabulary of only {trained.vocab_size:,} tokens, not {asked.vocab_size:,}"
        )
    return trained


def tokenize(corpus: Corpus, tokenizer: Tokenizer, console: Console) -> data.TokenFile:
    """Return the tokens of a text, from the cache if it has been tokenized before; see `data.prepare`."""
    with announced_progress(console, "tokenizing {} characters") as show:

        def progress(done: int, total: int | None) -> None:
            if total is not None or console.is_terminal:  # print nothing for a text that is in the cache
                show(done, total)

        text = data.prepare(corpus, tokenizer, cache=cache_folder(), progress=progress)
    if corpus.summary:
        console.print(f"{corpus.summary}, {counted(len(text.ends), 'document')}")
    return text


def resolve_settings(
    settings: RunSettings, corpus: Corpus, tokenizer: Tokenizer, config: GPTConfig, rows: data.Rows
) -> RunSettings:
    """Return the settings with everything filled in that depends on text or model, so they reproduce the run.

    These are the number of steps that `max_epochs` or `max_tokens` amount to, the optimizer's own defaults,
    the prompt for samples, and, when fine-tuning, the shape of the model.
    """
    training = with_steps(settings.training, rows).with_optimizer_defaults()
    settings = dataclasses.replace(settings, training=training)
    if settings.init_from:
        settings = dataclasses.replace(settings, model=dataclasses.asdict(config))
    return with_default_prompt(settings, corpus, tokenizer, config.block_size)


def with_default_prompt(
    settings: RunSettings, corpus: Corpus, tokenizer: Tokenizer, block_size: int
) -> RunSettings:
    """Return the settings with the corpus's own prompt if they have none and it fits into block_size."""
    prompt = corpus.prompt
    if settings.generation.prompt is not None or prompt is None:
        return settings
    try:
        fits = len(tokenizer.encode(prompt, allow_special=True)) <= block_size
    except InputError:  # a character of the prompt is out of vocabulary
        fits = False
    if not fits:
        return settings
    return dataclasses.replace(settings, generation=dataclasses.replace(settings.generation, prompt=prompt))


@contextmanager
def announced_progress(console: Console, what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of (done, total) that draws a progress bar, as `progress_bar` does.

    Where the console is not a terminal, a large text gets a line before and after instead.

    Args:
        console: where to draw or print.
        what: what is happening, e.g. "tokenizing {} characters"; {} stands for the number.
    """
    started: float | None = None
    n_done = 0
    with progress_bar(console, what.replace("{} ", "")) as draw:

        def show(done: int, total: int | None) -> None:
            nonlocal started, n_done
            n_done = done
            is_large = (total or done) >= ANNOUNCED_CHARACTERS
            if started is None and is_large and not console.is_terminal:
                started = time.perf_counter()
                console.print(what.format(f"more than {done:,}" if total is None else f"{total:,}") + " ...")
            draw(done, total)

        yield show
    if started is not None:
        console.print(f"{what.format(f'{n_done:,}')} took {time.perf_counter() - started:.0f} s")


def entropy_per_token(corpus: Corpus, part: data.Part) -> float | None:
    """Return the entropy of a part of a text in nats per token, if known: no model can have a lower loss."""
    if corpus.nats_per_document is None:
        return None
    return corpus.nats_per_document * len(part.ends) / len(part)


def _add_special_tokens(tokenizer: Tokenizer, names: Sequence[str], console: Console) -> Tokenizer:
    """Return the tokenizer with those of the special tokens that it lacks."""
    missing = [name for name in dict.fromkeys(names) if name not in tokenizer.special_ids]
    if not missing:
        return tokenizer
    extended = tokenizer.with_special_tokens(missing)
    console.print(f"special tokens added to the tokenizer: {' '.join(missing)}")
    return extended
