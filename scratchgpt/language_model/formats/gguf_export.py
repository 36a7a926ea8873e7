"""Export to GGUF, the format of llama.cpp and the programs built on it.

llama.cpp's GPT-2 has the tanh GELU and biases everywhere; its matrices are (out, in), and vectors and the
position embedding are float32. Its tokenizer "gpt2" is byte-level BPE; "gpt-2" names GPT-2's split pattern.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.float_types import FloatType, to_type
from scratchgpt.language_model.formats.huggingface_export import weights
from scratchgpt.language_model.formats.libraries import library
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.tokenizers import BPETokenizer
from scratchgpt.tokenizers.bytes_to_unicode import letters_of
from scratchgpt.tokenizers.split_patterns import GPT2
from scratchgpt.utils.files import atomic_path, make_folder

LINEAR = re.compile(r".*\.(c_attn|c_proj|c_fc)\.weight")
FILE_TYPES: dict[FloatType, tuple[str, str]] = {  # of the file, of a tensor
    "float32": ("ALL_F32", "F32"),
    "float16": ("MOSTLY_F16", "F16"),
    "bfloat16": ("MOSTLY_BF16", "BF16"),
}


def export_gguf(lm: LanguageModel, path: str | Path, dtype: FloatType = "float32") -> None:
    """Write a GGUF file; it appears complete or not at all.

    Args:
        lm: the model.
        path: a file that does not exist yet.
        dtype: type of the matrices.

    Raises:
        InputError: the file exists or cannot be written, the package `gguf` is missing, llama.cpp does not
            support the model or its tokenizer, or a weight is too large for the type.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path} already exists; choose another file")
    tokenizer = _check(lm)
    gguf = library("gguf", "scratchgpt[gguf]", "a GGUF file")
    make_folder(path.parent)
    with atomic_path(path) as temporary:
        writer = gguf.GGUFWriter(temporary, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.GPT2])
        _add_shape(writer, lm, path.stem, gguf.LlamaFileType[FILE_TYPES[dtype][0]])
        _add_tokenizer(writer, lm, tokenizer, gguf.TokenType)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, lm.model.config.n_layer)
        for name, values in weights(lm).items():
            its_type = "float32" if values.ndim == 1 or name == "transformer.wpe.weight" else dtype
            stored = to_type(values.T if LINEAR.fullmatch(name) else values, its_type, name)
            writer.add_tensor(
                names.get_name(name, try_suffixes=(".weight", ".bias")),
                stored.view(np.uint8) if its_type == "bfloat16" else stored,
                raw_dtype=gguf.GGMLQuantizationType[FILE_TYPES[its_type][1]],
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _check(lm: LanguageModel) -> BPETokenizer:
    """Return the tokenizer, after checking that llama.cpp supports it and the model."""
    config, tokenizer = lm.model.config, lm.tokenizer
    if config.adaptive_cutoffs:
        raise InputError(
            "llama.cpp has no adaptive softmax for GPT-2, so a model with adaptive_cutoffs "
            f"{list(config.adaptive_cutoffs)} cannot be exported to GGUF"
        )
    if config.activation != "gelu_tanh":
        raise InputError(f"activation is {config.activation!r}; llama.cpp's GPT-2 has only 'gelu_tanh'")
    if not isinstance(tokenizer, BPETokenizer):
        raise InputError(
            f"the tokenizer is a {type(tokenizer).__name__}; llama.cpp reads only byte-level BPE for GPT-2 "
            "(train with --tokenizer.kind bpe)"
        )
    if tokenizer.pattern != GPT2:
        raise InputError(
            f"the tokenizer's split pattern is {tokenizer.pattern!r}; llama.cpp knows patterns only by name, "
            "and has none for it (train with --tokenizer.pattern gpt2)"
        )
    if not tokenizer.merges:
        raise InputError("the tokenizer has no merges, and llama.cpp cannot read a vocabulary without merges")
    return tokenizer


def _add_shape(writer: Any, lm: LanguageModel, name: str, file_type: int) -> None:
    config = lm.model.config
    writer.add_name(name)
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.block_size)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.mlp_width)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(file_type)


def _add_tokenizer(writer: Any, lm: LanguageModel, tokenizer: BPETokenizer, types: Any) -> None:
    """Add tokens, token types and merges; ids that only the model has get a placeholder name."""
    size = lm.model.config.vocab_size
    tokens, kinds = [f"[PAD{i}]" for i in range(size)], [types.UNUSED] * size
    for token, i in tokenizer.token_ids.items():
        tokens[i], kinds[i] = letters_of(token), types.NORMAL
    for name, i in tokenizer.special_ids.items():
        tokens[i], kinds[i] = name, types.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{letters_of(left)} {letters_of(right)}" for left, right in tokenizer.merges])
    writer.add_add_bos_token(False)
    if lm.bos_token_id is not None:
        writer.add_bos_token_id(lm.bos_token_id)
    add_end = (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id)
    for add, i in zip(add_end, lm.eos_token_ids, strict=False):
        add(i)
