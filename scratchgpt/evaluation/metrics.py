"""Other units for a loss: perplexity, and bits per byte, which do not depend on the tokenizer."""

import math

import numpy as np

from scratchgpt.data import Part
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

LARGEST_EXPONENT = 700.0  # exp overflows a float at 709.8


def perplexity(loss: float) -> float:
    """Return exp(loss) for a loss in nats per token: the number of equally likely tokens it amounts to.

    A loss above 700 gives exp(700), so that a diverged run has a finite perplexity.
    """
    return math.exp(min(loss, LARGEST_EXPONENT))


def bits_per_byte(loss: float, bytes_per_token: float) -> float:
    """Convert a loss in nats per token to bits per byte of UTF-8, to compare models across tokenizers.

    Source: Gao et al., "The Pile" (2020), section 3.1, https://arxiv.org/abs/2101.00027.
    """
    return loss / math.log(2) / bytes_per_token


def bytes_per_token(tokenizer: Tokenizer, part: Part) -> float:
    """Return the mean number of UTF-8 bytes per token of a text.

    Special tokens count as tokens with zero bytes. Tokens that are left out of the loss are left out here.
    """
    ids = range(tokenizer.vocab_size)
    lengths = np.array([len(token) for token in bytes_by_token(tokenizer, ids, continuation=True)])
    lengths[list(tokenizer.special_ids.values())] = 0
    tokens = part.tokens if part.loss_mask is None else part.tokens[part.loss_mask != 0]
    counts = np.bincount(tokens, minlength=tokenizer.vocab_size)
    return float(counts @ lengths / max(1, counts.sum()))


def in_other_units(loss: float, tokenizer: Tokenizer, part: Part) -> dict[str, float]:
    """Return a text's loss, in nats per token, as {"perplexity": ..., "bits_per_byte": ...}."""
    per_byte = bits_per_byte(loss, bytes_per_token(tokenizer, part))
    return {"perplexity": perplexity(loss), "bits_per_byte": per_byte}
