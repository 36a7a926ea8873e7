"""GGUF files, read back by the package of llama.cpp's authors."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.ecosystem_models import CONFIGS, END, SMALL, characters, language_model
from tests.support.project import ROOT

gguf = pytest.importorskip("gguf", reason="gguf is not installed: pip install -e '.[peers]'")

import scratchgpt as sg  # noqa: E402
from scratchgpt.cli.commands.export import main as export  # noqa: E402
from scratchgpt.language_model.formats.float_types import FloatType, from_bfloat16_bits, to_type  # noqa: E402
from scratchgpt.language_model.formats.gguf_export import export_gguf  # noqa: E402
from scratchgpt.language_model.formats.tokenizer_json import as_bpe  # noqa: E402
from scratchgpt.tokenizers import BPETokenizer, ByteTokenizer, Tokenizer  # noqa: E402
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe  # noqa: E402
from scratchgpt.tokenizers.bytes_to_unicode import letters_of  # noqa: E402
from scratchgpt.tokenizers.split_patterns import GPT2, GPT4  # noqa: E402

pytestmark = pytest.mark.peers

PLACES = {  # llama.cpp's names by GPT-2's
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "ln_f": "output_norm",
    "lm_head": "output",
}
FABLES = (ROOT / "data" / "fables.txt").read_text(encoding="utf-8")
NAMES = {name: config for name, config in CONFIGS.items() if config.activation == "gelu_tanh"}


def bpe(pattern: str = GPT2) -> BPETokenizer:
    return train_bpe(count_chunks([FABLES], pattern), 290, pattern, [END])


def fields(reader: Any) -> dict[str, Any]:
    return {name: field.contents() for name, field in reader.fields.items()}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_is_there(tmp_path: Path, name: str, dtype: FloatType) -> None:
    config = replace(NAMES[name], n_inner=40)
    lm = language_model(config, bpe())
    export_gguf(lm, tmp_path / "x.gguf", dtype)
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    full = sg.GPT(replace(config, bias=True)).params
    assert len(found) == len(full)
    for param in full:
        layer, name, kind = re.fullmatch(r"(?:h\.(\d+)\.)?(.+)\.(weight|bias)", param.name).groups()
        tensor = found[(f"blk.{layer}." if layer else "") + f"{PLACES[name]}.{kind}"]
        is_single = len(param.shape) == 1 or name == "wpe"
        expected = lm.params[param] if param.name in lm.params else np.zeros(param.shape, np.float32)
        if ".c_" in param.name and kind == "weight":
            expected = expected.T
        assert tuple(tensor.shape.tolist()) == expected.shape[::-1]  # ggml names the inner dimension first
        assert tensor.tensor_type.name == (
            "F32" if is_single else {"float32": "F32", "float16": "F16"}.get(dtype, "BF16")
        )
        stored = to_type(expected, "float32" if is_single else dtype, param.name)
        if stored.dtype == np.uint16:
            data = gguf.quants.dequantize(tensor.data, gguf.GGMLQuantizationType.BF16)
            np.testing.assert_array_equal(data, from_bfloat16_bits(stored))
        else:
            np.testing.assert_array_equal(tensor.data, stored)


def test_every_field(tmp_path: Path) -> None:
    config = replace(SMALL, n_inner=40, layer_norm_epsilon=0.25)
    tokenizer = bpe().with_special_tokens(["<sep>"])
    lm = replace(language_model(config, tokenizer), eos_token_ids=(289, 290))
    export_gguf(lm, tmp_path / "fox.gguf")
    found = fields(gguf.GGUFReader(tmp_path / "fox.gguf"))
    assert {name: value for name, value in found.items() if name.startswith(("general.", "gpt2."))} == {
        "general.architecture": "gpt2",
        "general.name": "fox",
        "general.file_type": 0,
        "gpt2.block_count": 2,
        "gpt2.context_length": 16,
        "gpt2.embedding_length": 16,
        "gpt2.feed_forward_length": 40,
        "gpt2.attention.head_count": 2,
        "gpt2.attention.layer_norm_epsilon": 0.25,
        "gpt2.vocab_size": 300,
    }
    assert (found["tokenizer.ggml.model"], found["tokenizer.ggml.pre"]) == ("gpt2", "gpt-2")
    assert found["tokenizer.ggml.bos_token_id"] == tokenizer.special_ids[END] == 289
    assert found["tokenizer.ggml.eos_token_id"] == 289
    assert found["tokenizer.ggml.eot_token_id"] == 290
    assert found["tokenizer.ggml.add_bos_token"] is False
    tokens, types = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert len(tokens) == len(set(tokens)) == len(types) == 300
    for token, i in tokenizer.token_ids.items():
        assert (tokens[i], types[i]) == (letters_of(token), gguf.TokenType.NORMAL)
    assert (tokens[289:291], types[289:291]) == ([END, "<sep>"], [gguf.TokenType.CONTROL] * 2)
    assert types[291:] == [gguf.TokenType.UNUSED] * 9
    merges = [tuple(merge.split(" ")) for merge in found["tokenizer.ggml.merges"]]
    assert merges == [(letters_of(left), letters_of(right)) for left, right in tokenizer.merges]


@pytest.mark.parametrize(
    ("config", "tokenizer", "words"),
    [
        (SMALL, characters, "the tokenizer is a CharTokenizer; llama.cpp reads only byte-level BPE"),
        (SMALL, lambda: ByteTokenizer([END]), "the tokenizer is a ByteTokenizer"),
        (SMALL, lambda: bpe(GPT4), "and has none for it"),
        (SMALL, lambda: as_bpe(ByteTokenizer([END])), "no merges"),
        (
            replace(SMALL, activation="gelu_exact"),
            bpe,
            "activation is 'gelu_exact'; llama.cpp's GPT-2 has only 'gelu_tanh'",
        ),
        (replace(SMALL, tie_weights=False, adaptive_cutoffs=(99,)), bpe, "adaptive_cutoffs"),
    ],
)
def test_what_llama_cpp_does_not_support_is_refused(
    tmp_path: Path, config: sg.GPTConfig, tokenizer: Callable[[], Tokenizer], words: str
) -> None:
    with pytest.raises(sg.InputError, match=words):
        export_gguf(language_model(config, tokenizer()), tmp_path / "x.gguf")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_or_left_incomplete(tmp_path: Path) -> None:
    lm = language_model(SMALL, bpe())
    lm.save(tmp_path / "run")
    path = tmp_path / "x.gguf"
    assert export(["gguf", str(tmp_path / "run"), str(path)]) == 0
    before = path.read_bytes()
    with pytest.raises(sg.InputError, match=r"x\.gguf already exists; choose another file"):
        export(["gguf", str(tmp_path / "run"), str(path)])
    assert path.read_bytes() == before
    lm.params["wte.weight"][5, 5] = 1e9
    with pytest.raises(sg.InputError, match=r"wte\.weight has values up to 1e\+09, too large for float16"):
        export_gguf(lm, tmp_path / "y.gguf", "float16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x.gguf"]
