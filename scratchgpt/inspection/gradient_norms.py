"""How strongly a text pulls at every parameter."""

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import loss_and_grads
from scratchgpt.shapes import Array


def gradient_norms(
    model: GPT, params: ParamVector, ids: Array, backend: Backend
) -> tuple[float, dict[str, float]]:
    """Return a text's loss in nats per token, and the norm ‖dL/dw‖₂ of every parameter by its name.

    The squares of the norms add up to the square of what gradient clipping calls the norm.

    Args:
        model: the structure.
        params: its weights.
        ids: (T,) the tokens of a text; every one but the first is predicted.
        backend: where to compute.

    Raises:
        InputError: fewer than 2 tokens, or more than a block and one.
    """
    if len(ids) < 2:
        raise InputError(f"the text has {len(ids)} token(s), so there is no loss; expected 2 or more")
    loss, grads = loss_and_grads(model, params, ids[None, :-1], ids[None, 1:], backend=backend)
    grads = grads.map(backend.to_host)
    return loss, {param.name: _norm(grads[param]) for param in model.params}


def _norm(gradient: Array) -> float:
    return float(np.linalg.norm(gradient.astype(np.float64)))
