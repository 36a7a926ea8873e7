"""Logit bias: something is added to the scores of chosen tokens.

A bias of b makes a token e^b times as likely, compared with the rest.

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
