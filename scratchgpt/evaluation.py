"""The loss on a text, each of its tokens predicted once."""

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.data import windows
from scratchgpt.model import GPT
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.params import ParamVector
from scratchgpt.passes import loss
from scratchgpt.shapes import Array


def evaluate(
    model: GPT,
    params: ParamVector,
    tokens: Array,
    *,
    batch_size: int,
    backend: Backend,
    max_tokens: int | None = None,
) -> float:
    """Return the mean loss in nats per token of a text (N,), without dropout.

    Every token but the first is predicted once, within windows of block_size side by side;
    batches count by their number of targets. `max_tokens` limits how much of the text is used.
    """
    total, n_targets = 0.0, 0
    for x, y in windows(tokens, batch_size, model.config.block_size, max_tokens):
        n = int(np.count_nonzero(y != IGNORE_INDEX))
        total += n * loss(model, params, x, y, backend=backend)
        n_targets += n
    return total / n_targets
