"""Load a checkpoint of nanoGPT (ckpt.pt).

It is a PyTorch file: {"model": tensors, "model_args": shape, ...}. Its linear weights are (out, in), ours are
(in, out). If the model was compiled, every name starts with `_orig_mod.`. PyTorch reads the file without
running any code in it (`weights_only`).
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from scratchgpt.config import Activation, GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.gpt2_tensors import model_of
from scratchgpt.language_model.formats.libraries import library
from scratchgpt.language_model.formats.safetensors_file import StoredTensor
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import CharTokenizer
from scratchgpt.tokenizers.file_content import prefix_errors
from scratchgpt.utils.files import read_text

LINEAR = re.compile(r".*\.(c_attn|c_proj|c_fc)\.weight")
SHAPE = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "dropout", "bias")


def load_nanogpt(path: str | Path, activation: Activation = "gelu_exact") -> tuple[GPT, ParamVector]:
    """Return the model in a checkpoint, and its weights.

    Args:
        path: the file.
        activation: "gelu_exact" today, "gelu_tanh" in nanoGPT's first versions; the file does not say.

    Raises:
        InputError: PyTorch is missing, or the file is not a checkpoint of nanoGPT.
    """
    torch = library("torch", "torch", f"reading {path}")
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file; expected a checkpoint of nanoGPT, ckpt.pt")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # PyTorch raises many types of exception for a bad file
        raise InputError(
            f"PyTorch cannot read {path} safely: {str(error).partition('. ')[0]}; expected nanoGPT's ckpt.pt"
        ) from None
    shape, tensors = (_mapping(checkpoint, key, path) for key in ("model_args", "model"))
    if unknown := sorted(shape.keys() - set(SHAPE)):
        raise InputError(f"{path}: model_args has {unknown[0]!r}; expected only {', '.join(SHAPE)}")
    with prefix_errors(str(path)):
        config = GPTConfig.from_dict({**shape, "activation": activation})
    stored = {name.removeprefix("_orig_mod."): _stored(name, value, path) for name, value in tensors.items()}
    return model_of(config, stored, str(path))


def characters_of(path: str | Path, vocab_size: int) -> CharTokenizer:
    """Return the tokenizer that nanoGPT's prepare.py builds from a text: its characters by code point.

    Raises:
        InputError: the text cannot be read, or has a different number of distinct characters.
    """
    tokenizer = CharTokenizer.train(read_text(path))
    if tokenizer.vocab_size != vocab_size:
        raise InputError(
            f"{path} has {tokenizer.vocab_size} distinct characters, but the model has {vocab_size}; "
            "expected the text that the model was trained on"
        )
    return tokenizer


def _mapping(checkpoint: Any, key: str, path: str | Path) -> Mapping[str, Any]:
    value = checkpoint.get(key) if isinstance(checkpoint, Mapping) else None
    if not isinstance(value, Mapping):
        raise InputError(f"{path} has no {key!r}; expected a checkpoint of nanoGPT")
    return value


def _stored(name: str, value: Any, path: str | Path) -> StoredTensor:
    if not hasattr(value, "numpy"):
        raise InputError(f"{path}: {name!r} is a {type(value).__name__}; expected a tensor")
    is_linear = LINEAR.fullmatch(name) is not None
    shape = tuple(value.shape)
    return StoredTensor(shape[::-1] if is_linear else shape, partial(_read, value, is_linear))


def _read(value: Any, is_linear: bool) -> Array:
    """Return a floating-point tensor as a NumPy array; bfloat16, which NumPy lacks, becomes float32."""
    numbers = value.detach()
    numbers = (numbers if numbers.itemsize > 2 else numbers.float()).numpy()
    return numbers.T if is_linear else numbers
