"""Inputs for an op at the sizes of a model, built from the shapes in the textbook's annotations."""

import inspect
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np

from benchmarks.models import Row
from scratchgpt.backends import Op
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array

MAX_TOKENS = 1024  # of a batch: about the size of one thread's micro-batch
PASSED_BY_MODELS = {"bias"}  # arguments with a default that the models pass


def op_inputs(name: str, textbook: Op, row: Row) -> dict[str, Any]:
    """Return the arguments of the op's forward, in float32; `linear` gets the sizes of c_fc, C to F.

    Raises:
        InputError: the annotation of an argument does not tell its shape.
    """
    rng = np.random.default_rng(0)
    hints = get_type_hints(textbook.forward, include_extras=True)
    inputs: dict[str, Any] = {}
    for argument, parameter in inspect.signature(textbook.forward).parameters.items():
        if parameter.default is not inspect.Parameter.empty and argument not in PASSED_BY_MODELS:
            continue
        try:
            inputs[argument] = _argument(argument, hints.get(argument), row, rng)
        except KeyError as error:
            raise InputError(
                f"op {name!r}: cannot build argument {argument!r} from its annotation {hints.get(argument)}, "
                f"because {error.args[0]} is unknown; add it to benchmarks/op_inputs.py"
            ) from None
    return inputs


def upstream_gradient(y: Any) -> Any:
    """Return an upstream gradient for the result of forward: normal numbers of its shape, 1 for a loss."""
    if isinstance(y, tuple):  # q, k, v: gradients interleaved in one array, the way attention leaves them
        B, H, T, D = y[0].shape
        whole = np.random.default_rng(1).standard_normal((B, T, len(y), H, D), dtype=np.float32)
        return tuple(whole.transpose(2, 0, 3, 1, 4))
    if np.ndim(y) == 0:
        return 1.0
    return np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)


def _argument(name: str, hint: Any, row: Row, rng: np.random.Generator) -> Any:
    config = row.config
    if name == "n_head":
        return config.n_head
    B = max(1, min(row.batch_size, MAX_TOKENS // config.block_size))
    sizes = {
        "B": B, "T": config.block_size, "S": config.block_size, "P": config.block_size, "C": config.n_embd,
        "I": config.n_embd, "O": config.mlp_width, "F": config.mlp_width, "V": config.vocab_size,
        "H": config.n_head, "D": config.n_embd // config.n_head, "3C": 3 * config.n_embd,
    }  # fmt: skip
    letters = _letters(hint)
    if name == "targets" or letters == ["B", "T"]:
        return rng.integers(0, config.vocab_size, (B, config.block_size))
    if letters == ["..."]:  # an element-wise op: the width of the MLP, where models use it
        letters = ["B", "T", "F"]
    shape = [
        size for letter in letters for size in ((B, sizes["T"]) if letter == "..." else (sizes[letter],))
    ]
    values: Array = rng.standard_normal(shape, dtype=np.float32)
    return values


def _letters(hint: Any) -> list[str]:
    """Return the letters of an annotated array, which may be part of a union with None."""
    annotated = [arm for arm in (hint, *get_args(hint)) if get_origin(arm) is Annotated]
    if not annotated:
        raise KeyError("its shape")
    spec: str = get_args(annotated[0])[1]
    return spec.split()
