"""The pipeline between the model's logits and the next token: penalties and bans, then truncation.

The order is that of transformers:

    logit_bias, repetition_penalty, presence and frequency penalties, no_repeat_ngram, banned, min_new_tokens
    temperature, top_k, top_p, min_p, typical_p

The first line applies to every strategy, beam search included. The second restricts what is sampled from, so
greedy generation (temperature 0) skips it. transformers has no presence and frequency penalties; here they
come with the repetition penalty.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.generation.processors import (
    banned,
    logit_bias,
    min_new_tokens,
    min_p,
    no_repeat_ngram,
    presence_frequency,
    repetition,
    temperature,
    top_k,
    top_p,
    typical,
)
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.generation.token_ids import banned_sequences, biases_by_id
from scratchgpt.ops.sampling import NOT_FINITE, draw
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer


class Text(NamedTuple):
    """A text so far.

    Attributes:
        ids: its tokens.
        n_prompt: how many of them are the prompt.
    """

    ids: Sequence[int]
    n_prompt: int

    @property
    def new_ids(self) -> Sequence[int]:
        """The generated tokens."""
        return self.ids[self.n_prompt :]


class Rule(NamedTuple):
    """One setting as a function of the scores.

    Attributes:
        setting: its name.
        process: takes scores (V,) and the text so far, and returns new scores.
    """

    setting: str
    process: Callable[[Array, Text], Array]


class Pipeline:
    """The settings of generation as functions of the scores, in order.

    Args:
        settings: how to generate.
        vocab_size: only ids below it are generated (a tokenizer may have fewer than the model).
        tokenizer: encodes the texts in `banned` and `logit_bias`; needed only if there are any.
        eos_ids: the tokens that end a text.

    Attributes:
        settings: the settings it was built from.
        vocab_size: number of ids that may be generated.

    Raises:
        InputError: if a text in `logit_bias` is not exactly one token, a text cannot be encoded, or an id
            does not exist.
    """

    def __init__(
        self,
        settings: GenerationSettings,
        vocab_size: int,
        tokenizer: Tokenizer | None = None,
        eos_ids: Sequence[int] = (),
    ) -> None:
        self.settings = settings
        self.vocab_size = vocab_size
        biases = biases_by_id(settings.logit_bias, vocab_size, tokenizer)
        sequences = banned_sequences(settings.banned, vocab_size, tokenizer)
        ends = [i for i in eos_ids if i < vocab_size]
        self._penalties_and_bans = list(_penalties_and_bans(settings, biases, sequences, ends))
        self._truncations = list(_truncations(settings))

    @property
    def is_plain(self) -> bool:
        """Whether only temperature and top_k are set, which a backend's own `sample` can do."""
        only = {rule.setting for rule in self._truncations} <= {"temperature", "top_k"}
        return only and not self._penalties_and_bans

    def penalize(self, scores: Array, text: Text) -> Array:
        """Return scores (V,) in float64 after penalties and bans only; all of them may be -inf."""
        scores = scores.astype(np.float64)
        for rule in self._penalties_and_bans:
            scores = rule.process(scores, text)
        return scores

    def process(self, scores: Array, text: Text) -> Array:
        """Return scores (V,) in float64 after the whole pipeline.

        Raises:
            InputError: if a setting leaves no possible token.
        """
        scores = scores.astype(np.float64)
        for rule in self._penalties_and_bans + self._truncations:
            scores = rule.process(scores, text)
            if scores.max() == -np.inf:
                raise InputError(
                    f"generation.{rule.setting} forbids every token after {len(text.new_ids)} new tokens; "
                    "choose settings that forbid less"
                )
        return scores

    def sample(self, scores: Array, text: Text, uniform: float) -> int:
        """Return a token id sampled from the logits (V,) on the host by a uniform number in [0, 1).

        Raises:
            InputError: if a logit is not finite, or a setting leaves no possible token.
        """
        if not np.isfinite(scores).all():
            raise InputError(NOT_FINITE)
        scores = self.process(scores, text)
        return int(scores.argmax()) if self.settings.temperature == 0.0 else draw(scores, uniform)


def _penalties_and_bans(
    s: GenerationSettings, biases: dict[int, float], sequences: list[list[int]], ends: list[int]
) -> Iterator[Rule]:
    """Yield the rules of the first line, in order, without those that do nothing."""
    if biases:
        yield Rule("logit_bias", lambda x, text: logit_bias.process(x, biases))
    if s.repetition_penalty != 1.0:
        yield Rule(
            "repetition_penalty", lambda x, text: repetition.process(x, text.ids, s.repetition_penalty)
        )
    if s.presence_penalty or s.frequency_penalty:
        both = s.presence_penalty, s.frequency_penalty
        yield Rule("presence_penalty", lambda x, text: presence_frequency.process(x, text.new_ids, *both))
    if s.no_repeat_ngram:
        yield Rule("no_repeat_ngram", lambda x, text: no_repeat_ngram.process(x, text.ids, s.no_repeat_ngram))
    if sequences:
        yield Rule("banned", lambda x, text: banned.process(x, text.ids, sequences))
    if s.min_new_tokens and ends:
        least = s.min_new_tokens
        yield Rule(
            "min_new_tokens", lambda x, text: min_new_tokens.process(x, len(text.new_ids), least, ends)
        )


def _truncations(s: GenerationSettings) -> Iterator[Rule]:
    """Yield the rules of the second line, in order, without those that do nothing."""
    k, p, least, mass = s.top_k, s.top_p, s.min_p, s.typical_p
    if s.temperature == 0.0:
        return
    yield Rule("temperature", lambda x, text: temperature.process(x, s.temperature))
    if k:
        yield Rule("top_k", lambda x, text: top_k.process(x, k))
    if p is not None and p < 1.0:
        yield Rule("top_p", lambda x, text: top_p.process(x, p))
    if least:
        yield Rule("min_p", lambda x, text: min_p.process(x, least))
    if mass is not None and mass < 1.0:
        yield Rule("typical_p", lambda x, text: typical.process(x, mass))
