"""One text through a model, with a look at what is on the way."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import check_params, check_tokens, weights_for_passes
from scratchgpt.shapes import Array, Tokens
from scratchgpt.utils.words import counted


@contextmanager
def one_pass(
    model: GPT, params: ParamVector, ids: Array, backend: Backend
) -> Iterator[tuple[Context, Tokens]]:
    """Give the surroundings of a pass without gradients, and a text as a batch (1, T) where it is computed.

    Args:
        model: the structure.
        params: its weights.
        ids: (T,) the tokens of the text.
        backend: where to compute.

    Raises:
        InputError: no token, more than a block of them, or an id that the model does not have.
    """
    if not 1 <= len(ids) <= model.config.block_size:
        raise InputError(
            f"the text has {counted(len(ids), 'token')}; expected 1 to block_size = {model.config.block_size}"
        )
    check_params(params, model)
    tokens = check_tokens(ids[None], model.config)
    with backend.active(parallel=False):
        yield Context(weights_for_passes(params, backend), NO_GRADS, backend.ops), backend.to_device(tokens)


def on_host(array: Array, backend: Backend) -> Array:
    """Return the array in NumPy; numbers of 16 bits become float32."""
    array = backend.to_host(array)
    return array if array.dtype.itemsize > 2 else array.astype(np.float32)
