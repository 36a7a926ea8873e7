"""Checkpoints: weights, and what training needs to go on, as safetensors files.

A file of weights holds GPT-2's tensor names and shapes and opens in any tool that reads
safetensors. A training state holds the same, plus AdamW's moments as `adamw.m.<name>` and
`adamw.v.<name>`. Facts about the file (step, validation loss) are JSON in its metadata, under
the key `scratchgpt`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from scratchgpt.errors import InputError
from scratchgpt.files import atomic_path
from scratchgpt.model import GPT
from scratchgpt.optim import AdamW
from scratchgpt.params import ParamVector
from scratchgpt.shapes import Array

FORMAT_VERSION = 1


def save_weights(path: str | Path, params: ParamVector, metadata: Mapping[str, Any]) -> None:
    """Write the weights (in host memory); the file appears whole or not at all."""
    _write(path, dict(params.items()), metadata)


def save_training_state(path: str | Path, optimizer: AdamW, metadata: Mapping[str, Any]) -> None:
    """Write weights and moments; the file appears whole or not at all."""
    to_host = optimizer.backend.to_host
    tensors = dict(optimizer.params.map(to_host).items())
    tensors |= {f"adamw.m.{name}": view for name, view in optimizer.m.map(to_host).items()}
    tensors |= {f"adamw.v.{name}": view for name, view in optimizer.v.map(to_host).items()}
    state = {"adamw.t": optimizer.t, "backend": optimizer.backend.state()}
    _write(path, tensors, {**metadata, **state})


def load_weights(path: str | Path, model: GPT) -> tuple[ParamVector, dict[str, Any]]:
    """Return the weights in a checkpoint for `model`, and the file's metadata.

    Raises:
        InputError: missing, corrupted or truncated, or weights of another shape of model.
    """
    tensors, metadata = _read(path)
    return _params_of(model, tensors, path), metadata


def load_training_state(path: str | Path, model: GPT, optimizer: AdamW) -> dict[str, Any]:
    """Put weights and moments from a checkpoint into the optimizer; return the file's metadata.

    Raises:
        InputError: missing, corrupted or truncated, of another shape, or weights without moments.
    """
    tensors, metadata = _read(path)
    params = _params_of(model, tensors, path)
    if not isinstance(metadata.get("adamw.t"), int):
        raise InputError(f"{path} holds weights only; expected a training state, such as last.safetensors")
    for vector, prefix in ((optimizer.m, "adamw.m."), (optimizer.v, "adamw.v.")):
        on_host = ParamVector(model.params, np.empty(model.size, vector.flat.dtype))
        _fill(on_host, tensors, prefix, path)
        vector.flat[...] = optimizer.backend.to_device(on_host.flat)
    optimizer.params.flat[...] = optimizer.backend.to_device(params.flat)
    optimizer.t = metadata["adamw.t"]
    optimizer.backend.load_state(metadata.get("backend", {}))
    return metadata


def _write(path: str | Path, tensors: dict[str, Array], metadata: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        # One entry, because safetensors writes several in an order that changes from call to call.
        content = json.dumps({"version": FORMAT_VERSION, **metadata})
        try:
            save_file(tensors, temporary, {"scratchgpt": content})
        except SafetensorError as error:
            raise InputError(f"cannot write {path}: {error}") from None


def _read(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = json.loads((file.metadata() or {}).get("scratchgpt", "{}"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a checkpoint") from None
    except (SafetensorError, OSError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is corrupted or truncated: {error}; expected a safetensors file") from None
    if metadata.get("version", FORMAT_VERSION) != FORMAT_VERSION:
        raise InputError(f"{path} has format version {metadata['version']}; expected {FORMAT_VERSION}")
    for key, tensor in tensors.items():
        if tensor.dtype.kind != "f":
            raise InputError(f"{path}: {key!r} has type {tensor.dtype}; expected floating-point numbers")
    return tensors, metadata


def _params_of(model: GPT, tensors: Mapping[str, Array], path: str | Path) -> ParamVector:
    first = tensors.get(model.params[0].name)
    params = ParamVector(model.params, np.empty(model.size, np.float32 if first is None else first.dtype))
    _fill(params, tensors, "", path)
    for key in tensors:
        if key not in params and not key.startswith("adamw."):
            raise InputError(f"{path} has a tensor {key!r} that this model ({_shape(model)}) does not have")
    return params


def _fill(vector: ParamVector, tensors: Mapping[str, Array], prefix: str, path: str | Path) -> None:
    for name, view in vector.items():
        tensor = tensors.get(prefix + name)
        if tensor is None:
            raise InputError(f"{path} has no tensor {prefix + name!r}; expected one of shape {view.shape}")
        if tensor.shape != view.shape:
            raise InputError(
                f"{path}: {prefix + name!r} has shape {tensor.shape}; this model's has shape {view.shape}"
            )
        view[...] = tensor


def _shape(model: GPT) -> str:
    config = model.config
    return f"{config.n_layer} layers, {config.n_head} heads, {config.n_embd} channels"
