"""What the bot of a dialogue should say, what a model says in its place, and how near the two are.

A reply is asked for as whoever talks with the model would ask: the prompt is the dialogue up to " Bot:", with
the turns that were really said before, and the model writes until it ends its turn.
"""

import dataclasses
import importlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scratchgpt.data import Part
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.special_tokens import BOS, EOS, SEP

BOT = " Bot:"
TOGETHER = 32  # prompts that go through the model at once


class Reply(NamedTuple):
    """A turn of the bot.

    Attributes:
        prompt: the dialogue before it, special tokens by their names.
        reference: what the bot says in the text.
    """

    prompt: str
    reference: str


class Bleu(NamedTuple):
    """A BLEU score in [0, 100], and the signature that says how it was computed."""

    score: float
    signature: str


def bot_turns(text: Part, tokenizer: Tokenizer) -> Array:
    """Return every turn of the bot in a text of dialogues: (N, 3) positions among its tokens.

    They are where the dialogue begins, where the turn begins (with " Bot:"), and where it has ended (at its
    <sep> or </s>). As `dialogue.py` writes them, the bot's turns are every second one. A dialogue that has
    lost its beginning, because the text was cut within, has none.
    """
    begin, after_turn, at_end = (tokenizer.special_ids[name] for name in (BOS, SEP, EOS))
    tokens = text.tokens
    stops = np.flatnonzero((tokens == after_turn) | (tokens == at_end))
    dialogue = np.searchsorted(text.ends, stops, side="right")  # of each stop
    starts = np.concatenate([[0], text.ends[:-1]])[dialogue]
    is_first = np.diff(dialogue, prepend=-1) > 0
    first_stop = np.maximum.accumulate(np.where(is_first, np.arange(len(stops)), 0))
    is_bots = (np.arange(len(stops)) - first_stop) % 2 == 1
    found = np.flatnonzero(is_bots & (tokens[starts] == begin))
    return np.stack([starts[found], stops[found - 1] + 1, stops[found]], axis=1)


def replies(text: Part, tokenizer: Tokenizer, block_size: int, n: int) -> list[Reply]:
    """Return `n` turns of the bot, or all if there are fewer, spread evenly over those that fit.

    A turn fits if its prompt does not have more than `block_size` tokens.
    """
    turns = bot_turns(text, tokenizer)
    starts, begins, _ = turns.T
    turns = turns[begins - starts + len(tokenizer.encode(BOT)) <= block_size]
    chosen = turns[np.linspace(0, len(turns) - 1, min(n, len(turns))).astype(int)]
    return [
        Reply(
            tokenizer.decode(text.tokens[start:begin]) + BOT,
            tokenizer.decode(text.tokens[begin:end]).strip().removeprefix(BOT.strip()).strip(),
        )
        for start, begin, end in chosen.tolist()
    ]


def answers(model: LanguageModel, asked: Sequence[Reply]) -> list[str]:
    """Return what the model replies, taking the likeliest token each time, until it ends its turn.

    A reply twice as long as the longest reference is cut off.
    """
    ids = model.tokenizer.special_ids
    model = dataclasses.replace(model, eos_token_ids=(ids[SEP], ids[EOS]))
    longest = max((len(model.tokenizer.encode(reply.reference)) for reply in asked), default=0)
    said: list[str] = []
    for first in range(0, len(asked), TOGETHER):
        prompts = [reply.prompt for reply in asked[first : first + TOGETHER]]
        said += model.generate_batch(prompts, max_new_tokens=2 * longest + 2, temperature=0.0)
    return [text.strip() for text in said]


def exact_match(references: Sequence[str], said: Sequence[str]) -> float:
    """Return the share of replies that are the reference to the letter, in [0, 1]."""
    return sum(a == b for a, b in zip(references, said, strict=True)) / len(references)


def bleu(references: Sequence[str], said: Sequence[str]) -> Bleu | None:
    """Return the BLEU of all replies together, one reference for each; None without the package sacrebleu.

    Source: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation" (2002); Post,
    "A Call for Clarity in Reporting BLEU Scores" (2018), https://arxiv.org/abs/1804.08771.
    """
    try:
        metric = importlib.import_module("sacrebleu").metrics.BLEU()
    except ImportError:
        return None
    score = metric.corpus_score(list(said), [list(references)]).score
    return Bleu(float(score), str(metric.get_signature()))
