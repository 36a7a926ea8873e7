"""The logit lens: what the model would say if it stopped after an earlier block.

    logits after block l = head(ln_f(x_l))

The stream is read by the model's own last LayerNorm and head, which were trained for the last block only:
what looks like noise in an early layer may still be what later ones use.

Source: nostalgebraist, "interpreting GPT: the logit lens" (2020),
https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.inspection.one_pass import on_host, one_pass
from scratchgpt.inspection.residual import streams
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


class Lens(NamedTuple):
    """What each layer would say.

    Attributes:
        ids: (n_layer + 1, T) the likeliest token after each token, by the embeddings and after each block.
        probs: (n_layer + 1, T) its probability.
        last: (vocab_size,) the probability of every token after the text, as the whole model has it.
    """

    ids: Array
    probs: Array
    last: Array


def logit_lens(model: GPT, params: ParamVector, ids: Array, backend: Backend, vocab_size: int) -> Lens:
    """Return the likeliest next token at every place, after every layer.

    Args:
        model: the structure.
        params: its weights.
        ids: (T,) the tokens of a text.
        backend: where to compute.
        vocab_size: of the tokenizer; ids from there on have no text and are left out, as in generation.

    Raises:
        InputError: as in `one_pass`.
    """
    best, probs = [], []
    for scores in layer_logits(model, params, ids, backend):
        layer, _ = softmax.forward(scores[:, :vocab_size].astype(np.float64))
        best.append(layer.argmax(axis=-1))
        probs.append(layer.max(axis=-1))
    return Lens(np.stack(best), np.stack(probs), layer[-1])


def layer_logits(model: GPT, params: ParamVector, ids: Array, backend: Backend) -> Iterator[Array]:
    """Yield the logits (T, V) by the embeddings and after each block; the last are the model's own.

    An adaptive head gives log-probabilities, which are logits as well.
    """
    with one_pass(model, params, ids, backend) as (ctx, tokens):
        for x in streams(model, ctx, tokens):
            h, _ = model.ln_f.forward(ctx, x)
            yield on_host(model.lm_head.logits(ctx, h), backend)[0]
