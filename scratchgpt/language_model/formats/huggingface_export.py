"""Export to a folder that transformers opens without our code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.language_model.formats.float_types import FloatType
from scratchgpt.language_model.formats.huggingface_config import to_huggingface
from scratchgpt.language_model.formats.safetensors_file import write_tensors
from scratchgpt.language_model.formats.tokenizer_json import tokenizer_json
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.language_model.saving import generation_config, new_folder, write_json
from scratchgpt.nn.model import GPT
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.special_tokens import UNK
from scratchgpt.utils.files import atomic_path


def export_huggingface(lm: LanguageModel, folder: str | Path, dtype: FloatType = "float32") -> None:
    """Write a folder for `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained`.

    Args:
        lm: the model.
        folder: a new or an empty folder.
        dtype: type of the weights.

    Raises:
        InputError: the folder is not empty or cannot be written to, the format does not support the model or
            its tokenizer, or a weight is too large for the type.
    """
    ends = (lm.bos_token_id, lm.eos_token_ids)
    config = to_huggingface(lm.model.config, *ends, dtype)
    tokenizer = tokenizer_json(lm.tokenizer)
    without_token = list(range(lm.tokenizer.vocab_size, lm.model.config.vocab_size))
    suppressed = {"suppress_tokens": without_token} if without_token else {}
    with new_folder(folder) as new:
        write_json(new / "config.json", config)
        write_json(new / "generation_config.json", {**generation_config(*ends), **suppressed})
        write_json(new / "tokenizer_config.json", _tokenizer_config(lm))
        with atomic_path(new / "tokenizer.json") as temporary:
            temporary.write_bytes(tokenizer)
        with atomic_path(new / "model.safetensors") as temporary:
            write_tensors(temporary, weights(lm), dtype)


def weights(lm: LanguageModel) -> dict[str, Array]:
    """Return the weights in host memory, keyed by Hugging Face's names; missing biases are zeros."""
    params = lm.params.map(lm.backend.to_host)
    with_biases = GPT(replace(lm.model.config, bias=True)).params
    return {
        param.name if param.name == "lm_head.weight" else f"transformer.{param.name}": (
            params[param] if param.name in params else np.zeros(param.shape, params.flat.dtype)
        )
        for param in with_biases
    }


def _tokenizer_config(lm: LanguageModel) -> dict[str, Any]:
    """Return a tokenizer_config.json that makes AutoTokenizer use tokenizer.json unchanged."""
    names = {i: name for name, i in lm.tokenizer.special_ids.items()}
    ids = {"bos_token": lm.bos_token_id, "eos_token": next(iter(lm.eos_token_ids), None)}
    ids["unk_token"] = lm.tokenizer.special_ids.get(UNK)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": lm.model.config.block_size,
        "clean_up_tokenization_spaces": False,
        **{key: names[i] for key, i in ids.items() if i is not None and i in names},
    }
