"""Build a model from tensors with GPT-2's names."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.safetensors_file import StoredTensor
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector

HEAD, EMBEDDING = "lm_head.weight", "wte.weight"
MASKS = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # the causal mask, which older programs saved, too


def model_of(config: GPTConfig, tensors: Mapping[str, StoredTensor], name: str) -> tuple[GPT, ParamVector]:
    """Return a model and its weights, read one tensor at a time into one flat vector.

    16-bit weights become float32. A head that differs from the token embedding stays separate even if the
    config ties the two, as in transformers 5.

    Args:
        config: the shape.
        tensors: keyed by name, with or without the prefix `transformer.`
        name: the name of their file, for messages.

    Raises:
        InputError: a tensor that is missing, has the wrong shape, or is not part of the model.
    """
    tensors = {key.removeprefix("transformer."): tensor for key, tensor in tensors.items()}
    tensors = {key: tensor for key, tensor in tensors.items() if not MASKS.fullmatch(key)}
    if config.tie_weights and HEAD in tensors and EMBEDDING in tensors:
        if np.array_equal(tensors[HEAD].read(), tensors[EMBEDDING].read()):
            del tensors[HEAD]
        else:
            config = replace(config, tie_weights=False)
    model = GPT(config)
    _check(model, tensors, name)
    is_double = tensors[EMBEDDING].read().dtype == np.float64
    params = ParamVector(model.params, np.empty(model.size, np.float64 if is_double else np.float32))
    for key, view in params.items():
        view[...] = tensors[key].read()
    return model, params


def _check(model: GPT, tensors: Mapping[str, StoredTensor], name: str) -> None:
    """Check that exactly the expected tensors are there, with their shapes, before memory is allocated."""
    for param in model.params:
        tensor = tensors.get(param.name)
        if tensor is None:
            raise InputError(f"{name} lacks tensor {param.name!r}; expected one of shape {param.shape}")
        if tensor.shape != param.shape:
            raise InputError(
                f"{name}: tensor {param.name!r} has shape {tensor.shape}; expected {param.shape}, "
                "according to config.json"
            )
    surplus = tensors.keys() - {param.name for param in model.params}
    if surplus:
        key = min(surplus)
        raise InputError(
            f"{name} has a tensor {key!r} of shape {tensors[key].shape}, which GPT-2 with "
            f"n_layer {model.config.n_layer} and bias {model.config.bias} does not have; "
            "expected a GPT-2 language model"
        )
