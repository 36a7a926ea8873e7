"""One pass of a text through a model, in which the activations can be read."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.context import Context
from scratchgpt.shapes import Array, Tokens
from scratchgpt.utils.words import counted


@contextmanager
def one_pass(bound: BoundModel, ids: Array) -> Iterator[tuple[Context, Tokens]]:
    """Give the context of a pass without gradients, and a text as a batch (1, T) on the device.

    Args:
        bound: the model, its weights and where to compute.
        ids: (T,) token ids of the text.

    Raises:
        InputError: if there is no token, more than block_size of them, or an id that the model does not have.
    """
    block_size = bound.config.block_size
    if not 1 <= len(ids) <= block_size:
        raise InputError(
            f"the text has {counted(len(ids), 'token')}; expected 1 to block_size = {block_size}"
        )
    with bound.inference(ids[None]) as (ctx, tokens):
        yield ctx, tokens


def on_host(array: Array, backend: Backend) -> Array:
    """Return the array as a NumPy array; 16-bit types become float32."""
    array = backend.to_host(array)
    return array if array.dtype.itemsize > 2 else array.astype(np.float32)
