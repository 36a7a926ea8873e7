"""Log-probabilities of a text, token by token."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.evaluation.metrics import perplexity
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

MAX_LOGITS_AT_ONCE = 2**25  # 128 MiB in float32


@dataclass(frozen=True)
class TokenLogProbs:
    """A text of N tokens and the log-probability of each, given the tokens before it.

    Attributes:
        ids: (N,) token ids.
        texts: the text of each token; bytes of an incomplete character appear as U+FFFD.
        log_probs: (N,) float64, natural logarithms; NaN for a first token without a prediction.
        first: index of the first token with a prediction: 0 if a BOS token was put in front, else 1.
    """

    ids: Array
    texts: list[str]
    log_probs: Array
    first: int

    @property
    def loss(self) -> float:
        """The mean of -log p over the predicted tokens, in nats per token.

        Raises:
            InputError: no token is predicted.
        """
        predicted = self.log_probs[self.first :]
        if not len(predicted):
            raise InputError("the text has 1 token and nothing to predict it from; expected 2 tokens or more")
        return float(-predicted.mean())

    @property
    def perplexity(self) -> float:
        """exp(loss), the number of equally likely tokens it amounts to; raises what `loss` raises."""
        return perplexity(self.loss)


def token_log_probs(
    bound: BoundModel, tokenizer: Tokenizer, ids: Array, bos_token_id: int | None
) -> TokenLogProbs:
    """Return the tokens of a text with their log-probabilities.

    Args:
        bound: the model, its weights and where to compute.
        tokenizer: gives each token its text.
        ids: (N,) token ids, N >= 1.
        bos_token_id: put in front to predict the first token; None leaves that token without a prediction.
    """
    if bos_token_id is None:
        first, log_probs = 1, np.append(np.nan, log_probs_of(bound, ids))
    else:
        first, log_probs = 0, log_probs_of(bound, np.append(bos_token_id, ids))
    texts = [token.decode("utf-8", errors="replace") for token in bytes_by_token(tokenizer, ids.tolist())]
    return TokenLogProbs(ids, texts, log_probs, first)


def log_probs_of(bound: BoundModel, ids: Array) -> Array:
    """Return log p(ids[t + 1] | ids[: t + 1]) for every t: (N - 1,) float64, in nats.

    A text longer than the context window goes through the model in sliding windows, see `windows`.

    Args:
        bound: the model, its weights and where to compute.
        ids: (N,) token ids of a text.
    """
    tokens, targets = ids[:-1], ids[1:]
    block_size, vocab_size = bound.config.block_size, bound.config.vocab_size
    spans = list(windows(len(targets), block_size))
    at_once = max(1, MAX_LOGITS_AT_ONCE // (block_size * vocab_size))
    log_probs = np.empty(len(targets))
    for i in range(0, len(spans), at_once):
        group = spans[i : i + at_once]
        rows = np.stack([tokens[start:stop] for start, _, stop in group])
        logits = bound.backend.to_host(bound.logits(rows))
        for row, (start, first, stop) in zip(logits, group, strict=True):
            log_probs[first:stop] = _log_probs(row[first - start :], targets[first:stop])
    return log_probs


def windows(n: int, block_size: int) -> Iterator[tuple[int, int, int]]:
    """Yield sliding windows (start, first, stop): the model reads [start, stop), and [first, stop) is scored.

    Each of n positions is scored once. The first window scores all its positions; each further one advances
    by half its length, so every later token has at least half a window of context. A longer stride would need
    fewer passes, a shorter one would give every token more context.
    """
    stride = max(1, block_size // 2)
    first = 0
    while first < n:
        stop = min(n, first + stride if first else block_size)
        yield max(0, stop - block_size), first, stop
        first = stop


def _log_probs(logits: Array, targets: Array) -> Array:
    """Return the log-softmax of logits (T, V) at the targets (T,), in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    return shifted[np.arange(len(targets)), targets] - np.log(np.exp(shifted).sum(axis=-1))
