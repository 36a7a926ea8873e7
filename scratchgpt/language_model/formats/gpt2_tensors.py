"""From tensors under GPT-2's names to a model."""

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
MASKS = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # the causal mask, which older programs saved as well


def model_of(config: GPTConfig, tensors: Mapping[str, StoredTensor], name: str) -> tuple[GPT, ParamVector]:
    """Return a model and its weights, which are read one by one into one flat vector.

    Weights of 16 bits become float32. A head that is no copy of the token embedding stays one of its own,
    even if the config ties the two; so it is in transformers 5.

    Args:
        config: the shape.
        tensors: by name, with or without `transformer.` before it.
        name: where they come from, for messages.

    Raises:
        InputError: a tensor that is missing, of another shape than the config says, or one too many.
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
    """See that every tensor is there with its shape, and no other one, before memory is taken for them."""
    for param in model.params:
        tensor = tensors.get(param.name)
        if tensor is None:
            raise InputError(f"{name} lacks tensor {param.name!r}; expected one of shape {param.shape}")
        if tensor.shape != param.shape:
            raise InputError(
                f"{name}: tensor {param.name!r} has shape {tensor.shape}; expected {param.shape}, "
                "as its configuration says"
            )
    surplus = tensors.keys() - {param.name for param in model.params}
    if surplus:
        key = min(surplus)
        raise InputError(
            f"{name} has a tensor {key!r} of shape {tensors[key].shape}, which GPT-2 with "
            f"n_layer {model.config.n_layer} and bias {model.config.bias} does not have; "
            "expected a GPT-2 language model and nothing else"
        )
