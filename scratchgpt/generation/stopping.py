"""Where a text ends: at an end token, before a stop string, or at its maximum length."""

import codecs
from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal

from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

FinishReason = Literal["length", "end", "stop"]


class Continuation:
    """The text that follows a prompt, token by token, until something ends it.

    A token is held back while its text may be part of a stop string or of an unfinished character.

    Args:
        tokenizer: decodes the tokens.
        max_new_tokens: maximum number of tokens.
        eos_ids: the tokens that end the text; they are not part of it.
        stop: the strings that end the text. It is cut before the string that is completed first; if one
            character completes several, before the longest.

    Attributes:
        finish_reason: None until the text ends, then "length", "end" (an end token) or "stop" (a stop
            string).
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_new_tokens: int,
        eos_ids: Collection[int] = (),
        stop: Sequence[str] = (),
    ) -> None:
        self.finish_reason: FinishReason | None = None if max_new_tokens else "length"
        self._max_new_tokens = max_new_tokens
        self._eos_ids = eos_ids
        self._stop = stop
        self._n_tokens = 0
        self._held: list[str] = []  # the text of each token held back
        self._waiting: deque[int] = deque()  # at most the token being decoded
        self._bytes = bytes_by_token(tokenizer, iter(self._waiting.popleft, None), continuation=True)
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def take(self, token: int) -> list[str]:
        """Take the next token; return the texts of the tokens that are certain now, one per token, in order.

        The text of a token is the characters that it completes; it may be empty.
        """
        reason: FinishReason | None = None
        if token in self._eos_ids:
            reason = "end"
        else:
            self._waiting.append(token)
            self._held.append(self._utf8.decode(next(self._bytes)))
            self._n_tokens += 1
            if self._n_tokens == self._max_new_tokens:
                reason = "length"
        if reason and (rest := self._utf8.decode(b"", final=True)):
            self._held[-1] += rest

        text = "".join(self._held)
        stop_begins = find_stop(text, self._stop)
        if stop_begins is not None:
            self.finish_reason = "stop"
            return self._cut(stop_begins)
        self.finish_reason = reason
        return self._release(len(text) if reason else len(text) - n_uncertain(text, self._stop))

    def _cut(self, end: int) -> list[str]:
        """Return the held texts before a position; the last one may be cut short."""
        kept, begin = [], 0
        for text in self._held:
            if begin >= end:
                break
            kept.append(text[: end - begin])
            begin += len(text)
        return kept

    def _release(self, end: int) -> list[str]:
        """Return the held texts that end before a position, and keep holding the rest."""
        n_kept = 1 if self._utf8.getstate()[0] else 0  # an unfinished character belongs to the last token
        released = []
        while len(self._held) > n_kept and len(self._held[0]) <= end:
            end -= len(self._held[0])
            released.append(self._held.pop(0))
        return released


def find_stop(text: str, stop: Sequence[str]) -> int | None:
    """Return the start of the stop string that is completed first (the longest of several), or None."""
    places = [(text.find(one) + len(one), text.find(one)) for one in stop if one in text]
    return min(places)[1] if places else None


def n_uncertain(text: str, stop: Sequence[str]) -> int:
    """Return how many of the last characters may be the start of a stop string."""
    longest = max((len(one) for one in stop), default=1) - 1
    lengths = range(min(longest, len(text)), 0, -1)
    return next((n for n in lengths if any(one.startswith(text[-n:]) for one in stop)), 0)
