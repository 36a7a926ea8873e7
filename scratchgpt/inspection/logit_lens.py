"""The logit lens: what the model would predict if it stopped after an earlier block.

    logits after block l = head(ln_f(x_l))

It applies the model's own final LayerNorm and head, which were trained for the last block only: what looks
like noise after an early block may still be information that later blocks use.

Source: nostalgebraist, "interpreting GPT: the logit lens" (2020),
https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scratchgpt.inspection.one_pass import on_host, one_pass
from scratchgpt.inspection.residual import streams
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


class Lens(NamedTuple):
    """The predictions after each layer.

    Attributes:
        ids: (n_layer + 1, T) the most likely next token, for the embeddings and after each block.
        probs: (n_layer + 1, T) its probability.
        last: (vocab_size,) the whole model's probability of every token after the text.
    """

    ids: Array
    probs: Array
    last: Array


def logit_lens(bound: BoundModel, ids: Array, vocab_size: int) -> Lens:
    """Return the most likely next token at every position, after every layer.

    Args:
        bound: the model, its weights and where to compute.
        ids: (T,) token ids of a text.
        vocab_size: the tokenizer's; higher ids have no text and are left out, as in generation.

    Raises:
        InputError: as `one_pass` does.
    """
    best, probs = [], []
    for scores in layer_logits(bound, ids):
        layer, _ = softmax.forward(scores[:, :vocab_size].astype(np.float64))
        best.append(layer.argmax(axis=-1))
        probs.append(layer.max(axis=-1))
    return Lens(np.stack(best), np.stack(probs), layer[-1])


def layer_logits(bound: BoundModel, ids: Array) -> Iterator[Array]:
    """Yield the logits (T, V) for the embeddings and after each block; the last are the model's own.

    The logits of an adaptive head are log-probabilities.
    """
    with one_pass(bound, ids) as (ctx, tokens):
        for x in streams(bound, ctx, tokens):
            h, _ = bound.model.ln_f.forward(ctx, x)
            yield on_host(bound.model.lm_head.logits(ctx, h), bound.backend)[0]
