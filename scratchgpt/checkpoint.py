"""Checkpoints: weights, or a whole training state, as safetensors files.

A file of weights has GPT-2's tensor names and shapes and opens in any tool that reads safetensors. A training
state also has the optimizer's moments, such as AdamW's `adamw.m.<name>` and `adamw.v.<name>`, and the running
mean of the weights, if there is one, as `ema.<name>`. Facts (step, validation loss) are JSON in the file's
metadata, under the key `scratchgpt`, with a CRC-32 of facts and tensors, which detects bits that the disk has
flipped.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from scratchgpt.errors import InputError
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.optim import EMA, OPTIMIZERS, Optimizer
from scratchgpt.shapes import Array
from scratchgpt.utils.files import atomic_path

FORMAT_VERSION = 2  # version 1 had no checksum; it can still be read


def save_weights(path: str | Path, params: ParamVector, metadata: Mapping[str, Any]) -> None:
    """Write weights, which must be in host memory; the file is replaced atomically."""
    _write(path, dict(params.items()), metadata)


def save_training_state(
    path: str | Path, optimizer: Optimizer, metadata: Mapping[str, Any], ema: EMA | None = None
) -> None:
    """Write weights, moments and the mean of the weights, if any; the file is replaced atomically."""
    vectors = {"": optimizer.params, **_moments(optimizer)}
    state: dict[str, Any] = {f"{optimizer.name}.t": optimizer.t, "backend": optimizer.backend.state()}
    if ema is not None:
        vectors["ema."] = ema.total
        state["ema.weight"] = ema.weight
    tensors = {
        prefix + name: view
        for prefix, vector in vectors.items()
        for name, view in vector.map(optimizer.backend.to_host).items()
    }
    _write(path, tensors, {**metadata, **state})


def load_weights(path: str | Path, model: GPT) -> tuple[ParamVector, dict[str, Any]]:
    """Return the weights in a checkpoint of `model`, and the file's metadata.

    Raises:
        InputError: the file is missing, corrupted or truncated, or has the weights of another shape.
    """
    tensors, metadata = _read(path)
    return _params_of(model, tensors, path), metadata


def load_training_state(
    path: str | Path, model: GPT, optimizer: Optimizer, ema: EMA | None = None
) -> dict[str, Any]:
    """Load weights and moments from a checkpoint into the optimizer; return the file's metadata.

    If `ema` is given but the file has no mean of the weights, the mean starts with the next step; if `ema` is
    None, the file's mean is ignored.

    Raises:
        InputError: the file is missing, corrupted or truncated, has another shape, no moments, or the moments
            of another optimizer. Nothing is changed then.
    """
    tensors, metadata = _read(path)
    on_host = [(optimizer.params, _params_of(model, tensors, path))]
    _check_optimizer(optimizer, metadata, path)
    vectors = _moments(optimizer)
    if ema is not None and "ema.weight" in metadata:
        vectors["ema."] = ema.total
    for prefix, vector in vectors.items():
        loaded = ParamVector(vector.layout, np.empty(vector.size, vector.flat.dtype))
        _fill(loaded, tensors, prefix, path)
        on_host.append((vector, loaded))
    for vector, loaded in on_host:
        vector.flat[...] = optimizer.backend.to_device(loaded.flat)
    optimizer.t = metadata[f"{optimizer.name}.t"]
    optimizer.backend.load_state(metadata.get("backend", {}))
    if ema is not None:
        ema.weight = float(metadata.get("ema.weight", ema.weight))
    return metadata


def _moments(optimizer: Optimizer) -> dict[str, ParamVector]:
    """Return the vectors that an optimizer keeps, by the prefix of their tensors' names."""
    return {f"{optimizer.name}.{key}.": vector for key, vector in optimizer.vectors.items()}


def _check_optimizer(optimizer: Optimizer, metadata: Mapping[str, Any], path: str | Path) -> None:
    """Check that the file has the moments of this optimizer."""
    found = [name for name in OPTIMIZERS if isinstance(metadata.get(f"{name}.t"), int)]
    if not found:
        raise InputError(f"{path} holds weights only; expected a training state such as last.safetensors")
    if optimizer.name not in found:
        raise InputError(
            f"training.optimizer is {optimizer.name!r}; expected {found[0]!r}, whose moments {path} holds"
        )


def _write(path: str | Path, tensors: dict[str, Array], metadata: Mapping[str, Any]) -> None:
    metadata = {"version": FORMAT_VERSION, **metadata}
    # One entry, because safetensors writes several in an order that varies from call to call.
    content = json.dumps(metadata | {"crc32": _checksum(tensors, metadata)})
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, {"scratchgpt": content})
        except SafetensorError as error:
            raise InputError(f"cannot write {path}: {error}") from None


def _read(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return tensors and metadata; if the file is damaged, the error lists intact files in its folder."""
    try:
        return _read_whole(path)
    except _Damaged as error:
        intact = [
            other.name for other in sorted(Path(path).parent.glob("*.safetensors")) if _is_intact(other)
        ]
        others = f"; intact files in that folder: {', '.join(intact)}" if intact else ""
        raise InputError(
            f"{path} is corrupted or truncated: {error}; expected the safetensors file that was saved{others}"
        ) from None


class _Damaged(Exception):
    """The content of a file is not what was written."""


def _read_whole(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = json.loads((file.metadata() or {}).get("scratchgpt", "{}"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a checkpoint") from None
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise _Damaged(error) from None
    version = (
        metadata.get("version", 1) if isinstance(metadata, dict) else None
    )  # files of other tools have none
    if not isinstance(version, int):
        raise _Damaged(f"its format version is {version!r}")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {version}, written by a newer scratchgpt; "
            f"expected at most {FORMAT_VERSION}"
        )
    if version > 1 or "crc32" in metadata:  # the damage may be in either of them
        found, saved = _checksum(tensors, metadata), metadata.get("crc32")
        if found != saved:
            raise _Damaged(f"its checksum is {found}, but {saved} was saved with it")
    for key, tensor in tensors.items():
        if tensor.dtype.kind != "f":
            raise InputError(f"{path}: {key!r} has type {tensor.dtype}; expected floating-point numbers")
    return tensors, metadata


def _checksum(tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> str:
    """Return the CRC-32 of facts and tensors, which detects every burst of up to 32 wrong bits."""
    facts = {key: value for key, value in metadata.items() if key != "crc32"}
    crc = zlib.crc32(json.dumps(facts).encode())
    for name, tensor in sorted(tensors.items()):
        crc = zlib.crc32(np.ascontiguousarray(tensor).data, zlib.crc32(name.encode(), crc))
    return f"{crc:08x}"


def _is_intact(path: Path) -> bool:
    try:
        _read_whole(path)
    except (_Damaged, InputError):
        return False
    return True


def _params_of(model: GPT, tensors: Mapping[str, Array], path: str | Path) -> ParamVector:
    first = tensors.get(model.params[0].name)
    params = ParamVector(model.params, np.empty(model.size, np.float32 if first is None else first.dtype))
    _fill(params, tensors, "", path)
    for key in tensors:
        if key not in params and key.split(".")[0] not in (*OPTIMIZERS, "ema"):
            raise InputError(f"{path} has a tensor {key!r}, which this model ({_shape(model)}) lacks")
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
