"""The loss on a text, each of its tokens predicted once."""

from scratchgpt.backends import Backend
from scratchgpt.data import windows
from scratchgpt.model import GPT
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
    batches count by their number of targets. `max_tokens`: see `data.windows`.
    """
    total, n_targets = 0.0, 0
    for x, y in windows(tokens, batch_size, model.config.block_size, max_tokens):
        total += y.size * loss(model, params, x, y, backend=backend)
        n_targets += y.size
    return total / n_targets
