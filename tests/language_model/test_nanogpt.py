"""Checkpoints of nanoGPT: what PyTorch computes with them, and what we do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.ecosystem_models import SMALL, TEXT, relative_error, tokens

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")

import scratchgpt as sg  # noqa: E402
from scratchgpt.cli.commands.import_ import main as import_  # noqa: E402
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer  # noqa: E402

pytestmark = pytest.mark.peers

Tensors = dict[str, Any]
BASE = replace(SMALL, vocab_size=len(set(TEXT)), activation="gelu_exact")


def checkpoint(config: sg.GPTConfig, compiled: bool = False, masks: bool = False) -> dict[str, Any]:
    """Return random weights as nanoGPT saves them, with the optimizer's state and its settings."""
    torch.manual_seed(0)
    C, F = config.n_embd, config.mlp_width
    blocks: Tensors = {}
    for i in range(config.n_layer):
        h = f"transformer.h.{i}"
        for name, shape in {
            "ln_1": (C,),
            "attn.c_attn": (3 * C, C),
            "attn.c_proj": (C, C),
            "ln_2": (C,),
            "mlp.c_fc": (F, C),
            "mlp.c_proj": (C, F),
        }.items():
            blocks[f"{h}.{name}.weight"] = torch.randn(shape) * 0.3
            if config.bias:
                blocks[f"{h}.{name}.bias"] = torch.randn(shape[0]) * 0.1
        if masks:
            size = config.block_size
            blocks[f"{h}.attn.bias"] = torch.ones(size, size).tril().view(1, 1, size, size)
    state: Tensors = {
        "transformer.wte.weight": torch.randn(config.vocab_size, C),
        "transformer.wpe.weight": torch.randn(config.block_size, C) * 0.3,
        **blocks,
        "transformer.ln_f.weight": torch.randn(C),
        **({"transformer.ln_f.bias": torch.randn(C) * 0.1} if config.bias else {}),
    }
    state["lm_head.weight"] = state["transformer.wte.weight"]
    fields = ("n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout")
    return {
        "model": {("_orig_mod." if compiled else "") + name: value for name, value in state.items()},
        "optimizer": {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 1e-3}]},
        "model_args": {name: getattr(config, name) for name in fields},
        "iter_num": 5,
        "best_val_loss": torch.tensor(1.5),
        "config": {"dataset": "shakespeare_char", "compile": compiled},
    }


def in_pytorch(config: sg.GPTConfig, state: Tensors, ids: np.ndarray) -> np.ndarray:
    """Return the logits that PyTorch computes with nanoGPT's tensors."""
    nn = torch.nn.functional
    weights = {
        name.removeprefix("_orig_mod.").removeprefix("transformer."): each for name, each in state.items()
    }

    def norm(name: str, x: Any) -> Any:
        return nn.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights.get(f"{name}.bias"), 1e-5)

    def linear(name: str, x: Any) -> Any:
        return nn.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    tokens = torch.tensor(ids)
    B, T = tokens.shape
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][:T]
    for i in range(config.n_layer):
        heads = linear(f"h.{i}.attn.c_attn", norm(f"h.{i}.ln_1", x)).split(config.n_embd, dim=2)
        q, k, v = (each.view(B, T, config.n_head, -1).transpose(1, 2) for each in heads)
        y = nn.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, -1)
        x = x + linear(f"h.{i}.attn.c_proj", y)
        h = nn.gelu(linear(f"h.{i}.mlp.c_fc", norm(f"h.{i}.ln_2", x)))
        x = x + linear(f"h.{i}.mlp.c_proj", h)
    return nn.linear(norm("ln_f", x), weights["lm_head.weight"]).numpy()


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "input.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("masks", [True, False])
def test_it_computes_what_pytorch_does(
    tmp_path: Path, text: str, bias: bool, compiled: bool, masks: bool
) -> None:
    config = replace(BASE, bias=bias, dropout=0.2)
    content = checkpoint(config, compiled, masks)
    torch.save(content, tmp_path / "ckpt.pt")
    out = str(tmp_path / "run")
    assert import_(["nanogpt", str(tmp_path / "ckpt.pt"), out, "--text", text]) == 0
    lm = sg.load(out)
    assert lm.model.config == replace(config, init_std=0.02)
    ids = tokens(config)
    expected = in_pytorch(config, content["model"], ids)
    assert relative_error(sg.logits(lm.model, lm.params, ids), expected) < 1e-5
    assert lm.tokenizer.encode(TEXT).tolist() == [sorted(set(TEXT)).index(character) for character in TEXT]
    assert len(lm.generate("the ", max_new_tokens=20, temperature=0)) == 20
    tanh = str(tmp_path / "tanh")
    import_(["nanogpt", str(tmp_path / "ckpt.pt"), tanh, "--text", text, "--activation", "gelu_tanh"])
    assert sg.load(tanh).model.config.activation == "gelu_tanh"


def test_gpt2s_tokenizer_and_a_padded_vocabulary(tmp_path: Path, shared: Path) -> None:
    config = replace(BASE, vocab_size=50304, n_layer=1)
    content = checkpoint(config)
    content["model"] = {name: value.bfloat16() for name, value in content["model"].items()}
    torch.save(content, tmp_path / "ckpt.pt")
    run, gpt2 = str(tmp_path / "run"), str(shared / "data" / "gpt2")
    import_(["nanogpt", str(tmp_path / "ckpt.pt"), run, "--tokenizer", gpt2])
    lm = sg.load(run)
    assert lm.tokenizer.vocab_size == 50257
    assert (lm.bos_token_id, lm.eos_token_ids) == (50256, (50256,))
    ids = lm.tokenizer.encode("Hello world")[None]
    exact = {name: value.float() for name, value in content["model"].items()}
    assert relative_error(sg.logits(lm.model, lm.params, ids), in_pytorch(config, exact, ids)) < 1e-5


def test_the_tokenizer_of_a_run(tmp_path: Path) -> None:
    tokenizer = CharTokenizer.train(TEXT)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tokenizer.json").write_bytes(tokenizer.to_bytes())
    torch.save(checkpoint(BASE), tmp_path / "ckpt.pt")
    out = str(tmp_path / "out")
    import_(["nanogpt", str(tmp_path / "ckpt.pt"), out, "--tokenizer", str(tmp_path / "run")])
    assert sg.load(out).tokenizer.to_bytes() == tokenizer.to_bytes()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--tokenizer is None and --text is None; expected one of them"),
        (["--tokenizer", "x", "--text", "y"], "--tokenizer is x and --text is y; expected one of them"),
        (["--tokenizer", "data/meta.pkl"], r"meta\.pkl is a pickle, which we never open"),
        (["--text", "input.txt", "--activation", "relu"], "activation is 'relu'"),
        (["--text", "short.txt"], "short.txt has 3 distinct characters, but the model has 36"),
        (
            ["--tokenizer", "big.json"],
            "the tokenizer has 256 tokens; expected at most the model's vocab_size",
        ),
    ],
)
def test_unusable_tokenizers_are_refused(
    tmp_path: Path, text: str, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(checkpoint(BASE), "ckpt.pt")
    (tmp_path / "short.txt").write_text("abc", encoding="utf-8")
    (tmp_path / "big.json").write_bytes(ByteTokenizer().to_bytes())
    with pytest.raises(sg.InputError, match=words):
        import_(["nanogpt", "ckpt.pt", "out", *flags])
    assert not (tmp_path / "out").exists()


class Harmful:
    """What a pickle could do: here it makes a file."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": None}, "has no 'model'; expected a checkpoint of nanoGPT"),
        ({"model_args": 3}, "has no 'model_args'"),
        ({"model_args": {"n_layer": 2}}, "vocab_size is missing"),
        ({"model_args": {"vocab_size": 9, "rope": True}}, "model_args has 'rope'; expected only vocab_size"),
        ({"model": {"lm_head.weight": 5}}, "'lm_head.weight' is a int; expected a tensor"),
        (
            {"model": {"transformer.wte.weight": torch.ones(3, 2)}},
            r"'wte\.weight' has shape \(3, 2\); expected \(\d+, 16\)",
        ),
        ({"config": Harmful()}, "PyTorch cannot read .* safely"),
    ],
)
def test_a_file_that_is_not_a_checkpoint(
    tmp_path: Path, text: str, change: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(checkpoint(BASE) | change, "ckpt.pt")
    with pytest.raises(sg.InputError, match=words):
        import_(["nanogpt", "ckpt.pt", "out", "--text", text])
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path / "out").exists()


def test_a_file_that_does_not_exist(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ckpt.pt"
    with pytest.raises(sg.InputError, match="is not a file; expected a checkpoint of nanoGPT"):
        import_(["nanogpt", str(path), str(tmp_path / "out"), "--text", text])
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(sg.InputError, match=r"PyTorch cannot read .* safely"):
        import_(["nanogpt", str(path), str(tmp_path / "out"), "--text", text])
