"""The gradient norm of every parameter on one text."""

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.shapes import Array
from scratchgpt.utils.words import counted


def gradient_norms(bound: BoundModel, ids: Array) -> tuple[float, dict[str, float]]:
    """Return a text's loss in nats per token, and the gradient norm ‖dL/dw‖₂ of every parameter by name.

    The squares of these norms sum to the square of the global norm that gradient clipping uses.

    Args:
        bound: the model, its weights and where to compute.
        ids: (T,) token ids of a text; every token but the first is predicted.

    Raises:
        InputError: if there are fewer than 2 tokens, or more than block_size + 1.
    """
    if len(ids) < 2:
        raise InputError(
            f"the text has {counted(len(ids), 'token')}, so there is no loss; expected at least 2"
        )
    loss, grads = bound.loss_and_grads(ids[None, :-1], ids[None, 1:])
    grads = grads.map(bound.backend.to_host)
    return loss, {param.name: _norm(grads[param]) for param in bound.model.params}


def _norm(gradient: Array) -> float:
    return float(np.linalg.norm(gradient.astype(np.float64)))
