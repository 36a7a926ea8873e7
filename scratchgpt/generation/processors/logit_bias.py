"""Logit bias: add a constant to the scores of chosen tokens.

A bias of b multiplies the odds of a token by e^b.

Source: OpenAI's API reference, `logit_bias`.
"""

from collections.abc import Mapping

from scratchgpt.shapes import Array


def process(scores: Array, biases: Mapping[int, float]) -> Array:
    """Return the scores (V,) plus the bias of each token id that has one."""
    scores = scores.copy()
    for token, bias in biases.items():
        scores[token] += bias
    return scores
