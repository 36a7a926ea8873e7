"""What a loss means to people: perplexity, and bits per byte, which do not depend on the tokenizer."""

import math

import numpy as np

from scratchgpt.data import Part
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token


def perplexity(loss: float) -> float:
    """Return e to the loss in nats per token: as if so many tokens were equally likely."""
    return math.exp(min(loss, 700.0))  # beyond, a float overflows


def bits_per_byte(loss: float, bytes_per_token: float) -> float:
    """Return a loss in nats per token as bits per byte of UTF-8, so that tokenizers can be compared.

    Source: Gao et al., "The Pile" (2020), section 3.1, https://arxiv.org/abs/2101.00027.
    """
    return loss / math.log(2) / bytes_per_token


def bytes_per_token(tokenizer: Tokenizer, part: Part) -> float:
    """Return how many bytes of UTF-8 a token of a text stands for, on average.

    Special tokens are no text: they count as tokens, but have no bytes. Tokens that do not count in the loss
    count neither here.
    """
    ids = range(tokenizer.vocab_size)
    lengths = np.array([len(token) for token in bytes_by_token(tokenizer, ids, continuation=True)])
    lengths[list(tokenizer.special_ids.values())] = 0
    tokens = part.tokens if part.learned is None else part.tokens[part.learned != 0]
    counts = np.bincount(tokens, minlength=tokenizer.vocab_size)
    return float(counts @ lengths / max(1, counts.sum()))


def meaning(loss: float, tokenizer: Tokenizer, part: Part) -> dict[str, float]:
    """Return a loss of a text, in nats per token, in the other units, by their names."""
    per_byte = bits_per_byte(loss, bytes_per_token(tokenizer, part))
    return {"perplexity": perplexity(loss), "bits_per_byte": per_byte}
