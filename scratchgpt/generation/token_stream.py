"""The tokens of a text as they are generated, each with its probability."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.generation.loop import Step
from scratchgpt.generation.stopping import Continuation, FinishReason
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import stream_text


class GeneratedToken(NamedTuple):
    """A generated token and its probability under the model.

    Attributes:
        id: the token id.
        text: the characters that it completes; empty if its bytes are part of an unfinished character.
        logprob: ln p of the token in the model's own distribution, before any setting changed the scores.
        alternatives: the most likely tokens of that distribution as (text, ln p), the most likely first.
    """

    id: int
    text: str
    logprob: float
    alternatives: list[tuple[str, float]]


class TokenStream(Iterator[GeneratedToken]):
    """The tokens that continue a prompt, each yielded as soon as its text is certain.

    Args:
        steps: the steps of one sequence, see `generate_steps`.
        text: the continuation that grows with them.
        tokenizer: gives the alternatives their text.
        backend: where the logits are.
        n_alternatives: how many alternatives to report per token.
        on_finish: called once, when the text has ended.
    """

    def __init__(
        self,
        steps: Iterator[Step],
        text: Continuation,
        tokenizer: Tokenizer,
        backend: Backend,
        n_alternatives: int,
        on_finish: Callable[[], None] = lambda: None,
    ) -> None:
        self._text = text
        self._tokenizer = tokenizer
        self._backend = backend
        self._n_alternatives = n_alternatives
        self._on_finish = on_finish
        self._tokens = self._generate(steps)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the text ended: "length", "end" (an end token) or "stop" (a stop string); None before."""
        return self._text.finish_reason

    def __next__(self) -> GeneratedToken:
        return next(self._tokens)

    def _generate(self, steps: Iterator[Step]) -> Iterator[GeneratedToken]:
        held: deque[GeneratedToken] = deque()  # tokens whose text is not certain yet
        for step in steps:
            held.append(self._with_logprob(step.tokens[0], step.logits[0]))
            pieces = self._text.take(step.tokens[0])
            if self._text.finish_reason:
                self._on_finish()
            for piece in pieces:
                yield held.popleft()._replace(text=piece)
            if self._text.finish_reason:
                return

    def _with_logprob(self, token: int, logits: Array) -> GeneratedToken:
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
