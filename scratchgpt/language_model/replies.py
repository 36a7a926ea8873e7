"""Compare a model's replies in dialogues with the reference replies.

The prompt is the dialogue up to " Bot:", with the true earlier turns, and the model generates until it ends
its turn, just as in a chat.
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
MAX_PROMPTS_AT_ONCE = 32


class Reply(NamedTuple):
    """A turn of the bot in a text.

    Attributes:
        prompt: the dialogue before it, with the names of special tokens.
        reference: what the bot says.
    """

    prompt: str
    reference: str


class Bleu(NamedTuple):
    """A BLEU score in [0, 100], and sacrebleu's signature of how it was computed."""

    score: float
    signature: str


def bot_turns(text: Part, tokenizer: Tokenizer) -> Array:
    """Return every turn of the bot in a text of dialogues, as token positions (N, 3).

    They are the start of the dialogue, the start of the turn (at " Bot:") and its end (at <sep> or </s>).
    Every second turn is the bot's, as in `corpora/dialogue.py`. A dialogue whose start was cut off by the
    split has no turns here.
    """
    begin, after_turn, at_end = (tokenizer.special_ids[name] for name in (BOS, SEP, EOS))
    tokens = text.tokens
    stops = np.flatnonzero((tokens == after_turn) | (tokens == at_end))
    dialogue = np.searchsorted(text.ends, stops, side="right")  # the dialogue of each stop
    starts = np.concatenate([[0], text.ends[:-1]])[dialogue]
    is_first = np.diff(dialogue, prepend=-1) > 0
    first_stop = np.maximum.accumulate(np.where(is_first, np.arange(len(stops)), 0))
    is_bots = (np.arange(len(stops)) - first_stop) % 2 == 1
    found = np.flatnonzero(is_bots & (tokens[starts] == begin))
    return np.stack([starts[found], stops[found - 1] + 1, stops[found]], axis=1)


def replies(text: Part, tokenizer: Tokenizer, block_size: int, n: int) -> list[Reply]:
    """Return n turns of the bot, spread evenly over those that fit, or all if there are fewer.

    A turn fits if its prompt has at most `block_size` tokens.
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
    """Return the model's greedy replies, each up to the token that ends its turn.

    Replies are cut at twice the length of the longest reference.
    """
    ids = model.tokenizer.special_ids
    model = dataclasses.replace(model, eos_token_ids=(ids[SEP], ids[EOS]))
    longest = max((len(model.tokenizer.encode(reply.reference)) for reply in asked), default=0)
    said: list[str] = []
    for first in range(0, len(asked), MAX_PROMPTS_AT_ONCE):
        prompts = [reply.prompt for reply in asked[first : first + MAX_PROMPTS_AT_ONCE]]
        said += model.generate_batch(prompts, max_new_tokens=2 * longest + 2, temperature=0.0)
    return [text.strip() for text in said]


def exact_match(references: Sequence[str], said: Sequence[str]) -> float:
    """Return the share of replies that equal the reference exactly, in [0, 1]."""
    return sum(a == b for a, b in zip(references, said, strict=True)) / len(references)


def bleu(references: Sequence[str], said: Sequence[str]) -> Bleu | None:
    """Return the corpus BLEU of the replies, with one reference each; None if sacrebleu is not installed.

    Source: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation" (2002); Post,
    "A Call for Clarity in Reporting BLEU Scores" (2018), https://arxiv.org/abs/1804.08771.
    """
    try:
        metric = importlib.import_module("sacrebleu").metrics.BLEU()
    except ImportError:
        return None
    score = metric.corpus_score(list(said), [list(references)]).score
    return Bleu(float(score), str(metric.get_signature()))
