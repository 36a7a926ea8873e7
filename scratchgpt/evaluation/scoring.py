"""How likely a model finds a text, token by token."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.evaluation.metrics import perplexity
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import logits
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

LOGITS_AT_ONCE = 2**25  # values: 128 MiB in float32


@dataclass(frozen=True)
class Scored:
    """A text of N tokens and the log-probability of each, given those before it.

    Attributes:
        ids: (N,) the tokens.
        texts: the text of each; bytes that are no whole character appear as U+FFFD.
        log_probs: (N,) float64, natural logarithms; NaN for a first token that nothing predicts.
        first: the place of the first token that has a prediction: 0 after a token in front, else 1.
    """

    ids: Array
    texts: list[str]
    log_probs: Array
    first: int

    @property
    def loss(self) -> float:
        """The mean of -log p over the tokens that have a prediction, in nats per token.

        Raises:
            InputError: no token has one.
        """
        predicted = self.log_probs[self.first :]
        if not len(predicted):
            raise InputError("the text has 1 token, which nothing predicts; expected 2 tokens or more")
        return float(-predicted.mean())

    @property
    def perplexity(self) -> float:
        """e to the loss: as if so many tokens were equally likely at each place; raises as `loss` does."""
        return perplexity(self.loss)


def score_text(
    model: GPT,
    params: ParamVector,
    tokenizer: Tokenizer,
    ids: Array,
    bos_token_id: int | None,
    backend: Backend,
) -> Scored:
    """Return the tokens (N,) of a text with their log-probabilities.

    A `bos_token_id` is put in front and predicts the first token; without one nothing does. The other
    arguments are those of `score`.
    """
    if bos_token_id is None:
        first, log_probs = 1, np.append(np.nan, score(model, params, ids, backend))
    else:
        first, log_probs = 0, score(model, params, np.append(bos_token_id, ids), backend)
    texts = [token.decode("utf-8", errors="replace") for token in bytes_by_token(tokenizer, ids.tolist())]
    return Scored(ids, texts, log_probs, first)


def score(model: GPT, params: ParamVector, ids: Array, backend: Backend) -> Array:
    """Return log p(ids[t + 1] | ids[..t]) for every t: (N - 1,) float64, in nats.

    A text longer than a block goes through the model in windows, see `windows`.

    Args:
        model: the structure.
        params: its weights.
        ids: (N,) the tokens of a text.
        backend: where to compute.
    """
    tokens, targets = ids[:-1], ids[1:]
    block_size, vocab_size = model.config.block_size, model.config.vocab_size
    spans = list(windows(len(targets), block_size))
    at_once = max(1, LOGITS_AT_ONCE // (block_size * vocab_size))
    log_probs = np.empty(len(targets))
    for i in range(0, len(spans), at_once):
        group = spans[i : i + at_once]
        rows = np.stack([tokens[start:stop] for start, _, stop in group])
        scores = backend.to_host(logits(model, params, rows, backend=backend))
        for row, (start, first, stop) in zip(scores, group, strict=True):
            log_probs[first:stop] = _log_probs(row[first - start :], targets[first:stop])
    return log_probs


def windows(n: int, block_size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, first, stop): the model reads [start, stop), and what it says of [first, stop) is taken.

    Each of n places is taken once. The first window takes a whole block; the others go on by half a block and
    see half a block or more of what came before: a longer stride would need fewer passes, a shorter one would
    give every token more context.
    """
    stride = max(1, block_size // 2)
    first = 0
    while first < n:
        stop = min(n, first + stride if first else block_size)
        yield max(0, stop - block_size), first, stop
        first = stop


def _log_probs(scores: Array, targets: Array) -> Array:
    """Return the log-softmax of scores (T, V) at the targets (T,), in float64."""
    shifted = scores.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    return shifted[np.arange(len(targets)), targets] - np.log(np.exp(shifted).sum(axis=-1))
