"""The tokens of a text as they come, each with its probability."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.generation.sampling import Step
from scratchgpt.generation.stopping import Continuation, FinishReason
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import stream_text


class GeneratedToken(NamedTuple):
    """A token of a text, and what the model thought of it.

    Attributes:
        id: its number.
        text: the characters that it completes: none, if its bytes are a part of one that goes on.
        logprob: ln p of the token in the model's own distribution, before any setting changed the scores.
        alternatives: the likeliest tokens of that distribution with their ln p, the likeliest first.
    """

    id: int
    text: str
    logprob: float
    alternatives: list[tuple[str, float]]


class TokenStream(Iterator[GeneratedToken]):
    """The tokens that continue a prompt, each as soon as its text is certain.

    Args:
        steps: of `generate_steps`, for one prompt.
        text: the continuation that grows.
        tokenizer: what gives the alternatives their text.
        backend: where the scores are.
        n_alternatives: how many to name for each token.
    """

    def __init__(
        self,
        steps: Iterator[Step],
        text: Continuation,
        tokenizer: Tokenizer,
        backend: Backend,
        n_alternatives: int,
    ) -> None:
        self._text = text
        self._tokenizer = tokenizer
        self._backend = backend
        self._n_alternatives = n_alternatives
        self._tokens = self._follow(steps)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the text ended: "length", "end" (an end token) or "stop" (a stop string); None before."""
        return self._text.finish_reason

    def __next__(self) -> GeneratedToken:
        return next(self._tokens)

    def _follow(self, steps: Iterator[Step]) -> Iterator[GeneratedToken]:
        held: deque[GeneratedToken] = deque()  # their texts are not certain yet
        for step in steps:
            held.append(self._measured(step.tokens[0], step.logits[0]))
            for piece in self._text.take(step.tokens[0]):
                yield held.popleft()._replace(text=piece)
            if self._text.finish_reason:
                return

    def _measured(self, token: int, logits: Array) -> GeneratedToken:
        scores = self._backend.to_host(logits).astype(np.float64)
        logprobs = scores - scores.max()
        logprobs -= np.log(np.exp(logprobs).sum())
        known = logprobs[: self._tokenizer.vocab_size]
        best = (-known).argsort(kind="stable")[: self._n_alternatives]
        return GeneratedToken(
            id=token,
            text="",
            logprob=float(logprobs[token]),
            alternatives=[(self._text_of(int(i)), float(known[i])) for i in best],
        )

    def _text_of(self, token: int) -> str:
        return "".join(stream_text(self._tokenizer, [token], continuation=True))
