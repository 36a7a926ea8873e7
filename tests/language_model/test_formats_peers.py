"""Models to and from Hugging Face's transformers: the same logits, losses, ids and texts."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.ecosystem_models import (
    CONFIGS,
    END,
    SMALL,
    TEXT,
    characters,
    language_model,
    logits,
    relative_error,
    tokens,
)
from tests.support.project import ROOT, Outcome
from tests.support.tokenizer_texts import varied_texts

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
transformers = pytest.importorskip("transformers")

import scratchgpt as sg  # noqa: E402
from scratchgpt import tokenizers  # noqa: E402
from scratchgpt.language_model.formats.float_types import FloatType  # noqa: E402
from scratchgpt.language_model.formats.huggingface_export import export_huggingface  # noqa: E402
from scratchgpt.language_model.formats.tokenizer_json import tokenizer_json  # noqa: E402
from scratchgpt.tokenizers import ByteTokenizer, SentencePieceTokenizer, Tokenizer  # noqa: E402
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe  # noqa: E402
from scratchgpt.tokenizers.split_patterns import GPT2, GPT4  # noqa: E402

pytestmark = pytest.mark.peers

FABLES = (ROOT / "data" / "fables.txt").read_text(encoding="utf-8")
TEXTS = [*varied_texts(300, seed=3), TEXT, "", " ", "\n\n", "e\u0301", "👩‍👩‍👧", "\u2028\t\r\n"]
TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "characters": characters,
    "bytes": lambda: ByteTokenizer([END]),
    "BPE": lambda: train_bpe(count_chunks([FABLES], GPT2), 400, GPT2, [END, "<sep>"]),
    "BPE, GPT-4's pattern": lambda: train_bpe(count_chunks([FABLES], GPT4), 400, GPT4, [END]),
}
VARIATIONS: dict[str, dict[str, Any]] = {
    "tied": {},
    "untied": {"tie_word_embeddings": False},
    "narrow MLP": {"n_inner": 7, "layer_norm_epsilon": 1e-2},
    "exact GELU": {"activation_function": "gelu"},
    "tanh GELU of PyTorch": {"activation_function": "gelu_pytorch_tanh"},
    "upcast": {"reorder_and_upcast_attn": True},
    "no ends": {"bos_token_id": None, "eos_token_id": None},
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let transformers say nothing: neither bars nor advice."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    yield
    transformers.logging.set_verbosity(level)
    transformers.logging.enable_progress_bar()


def random_gpt2(seed: int = 0, **values: Any) -> Any:
    """Return transformers' model with random weights, biases and all."""
    torch.manual_seed(seed)
    shape: dict[str, Any] = {"vocab_size": 300, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    shape["initializer_range"] = 0.3
    ends = {"bos_token_id": 256, "eos_token_id": 256}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**{**shape, **ends, **values})).eval()
    with torch.no_grad():
        for vector in model.parameters():
            if vector.ndim == 1:
                vector.add_(0.1 * torch.randn_like(vector))
    return model


def saved(model: Any, folder: Path, **settings: Any) -> Path:
    """Write a model as transformers does, and a tokenizer of bytes beside it."""
    model.save_pretrained(folder, **settings)
    (folder / "tokenizer.json").write_bytes(tokenizer_json(ByteTokenizer([END])))
    return folder


def their_logits(model: Any, ids: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor(ids)).logits.float().numpy()


def their_greedy(model: Any, ids: list[int], n_new: int) -> list[int]:
    prompt = torch.tensor([ids])
    mask = torch.ones_like(prompt)
    with torch.no_grad():
        out = model.generate(
            prompt, attention_mask=mask, max_new_tokens=n_new, do_sample=False, pad_token_id=0
        )
    return out[0, len(ids) :].tolist()


@pytest.mark.parametrize("name", VARIATIONS)
def test_logits_loss_and_text_of_an_imported_model(tmp_path: Path, name: str) -> None:
    theirs = random_gpt2(**VARIATIONS[name])
    lm = sg.load(saved(theirs, tmp_path / "theirs"))
    ids = tokens(lm.model.config)
    assert relative_error(logits(lm), their_logits(theirs, ids)) < 1e-5
    with torch.no_grad():
        loss = theirs(torch.tensor(ids), labels=torch.tensor(ids)).loss.item()  # it moves the labels itself
    assert sg.loss(lm.model, lm.params, ids[:, :-1], ids[:, 1:]) == pytest.approx(loss, rel=1e-5)
    prompt = lm.tokenizer.encode("one ").tolist()
    theirs.generation_config.suppress_tokens = list(range(257, 300))  # ids without a token
    new = their_greedy(theirs, prompt, 10)
    assert lm.generate("one ", max_new_tokens=10, temperature=0) == lm.tokenizer.decode(
        [i for i in new if i not in lm.eos_token_ids]
    )
    assert lm.bos_token_id == (None if name == "no ends" else 256)


def test_fine_tuning_begins_with_a_model_of_transformers(command: Callable[..., Outcome]) -> None:
    theirs = random_gpt2()
    saved(theirs, Path("hf"))
    Path("text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 40, encoding="utf-8")
    flags = (
        "--init-from",
        "hf",
        "--data",
        "text.txt",
        "--training.max_steps=4",
        "--training.eval_interval=2",
    )
    frozen = ("--training.learning_rate=0", "--training.min_learning_rate=0", "--training.weight_decay=0")
    assert command("train.py", *flags, *frozen, "--out", "frozen").code == 0
    lm = sg.load("frozen")
    ids = tokens(lm.model.config)
    assert relative_error(logits(lm), their_logits(theirs, ids)) < 1e-5
    done = command("train.py", *flags, "--training.learning_rate=1e-2", "--out", "tuned")
    assert done.code == 0, done.err
    tuned, text = sg.load("tuned"), "the lazy fox jumps"
    assert tuned.perplexity(text) < lm.perplexity(text)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_an_imported_model_of_16_bits(tmp_path: Path, dtype: str) -> None:
    theirs = random_gpt2().to(getattr(torch, dtype))
    lm = sg.load(saved(theirs, tmp_path / "theirs"))
    assert relative_error(logits(lm), their_logits(theirs.float(), tokens(lm.model.config))) < 1e-5


def test_an_imported_model_in_shards_and_one_without_a_head(tmp_path: Path) -> None:
    theirs = random_gpt2(seed=1)
    expected = their_logits(theirs, tokens(SMALL))
    folder = saved(theirs, tmp_path / "shards", max_shard_size="10KB")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    assert relative_error(logits(sg.load(folder)), expected) < 1e-5
    assert relative_error(logits(sg.load(saved(theirs.transformer, tmp_path / "no head"))), expected) < 1e-5


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("GPT2ForSequenceClassification", r"has a tensor 'score\.weight' of shape \(2, 16\)"),
        ("GPTNeoForCausalLM", "model_type is 'gpt_neo'; only 'gpt2' is supported"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, kind: str, words: str) -> None:
    if kind.startswith("GPT2"):
        model = transformers.GPT2ForSequenceClassification(random_gpt2().config)
    else:
        shape = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "attention_types": [[["global"], 2]]}
        model = transformers.GPTNeoForCausalLM(transformers.GPTNeoConfig(vocab_size=300, **shape))
    with pytest.raises(sg.InputError, match=words):
        sg.load(saved(model, tmp_path / "model"))


def test_the_shape_of_gpt2_itself(tmp_path: Path, shared: Path) -> None:
    theirs = random_gpt2(
        vocab_size=50257, n_positions=1024, n_embd=768, n_layer=12, n_head=12, initializer_range=0.02
    )
    folder = tmp_path / "gpt2"
    theirs.save_pretrained(folder)
    for ours, name in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
        shutil.copy(shared / "data" / "gpt2" / ours, folder / name)
    lm = sg.load(folder)
    shutil.rmtree(folder)  # 500 MB
    assert lm.model.size == theirs.num_parameters() == 124_439_808
    ids = lm.tokenizer.encode("The quick brown fox jumps over the lazy dog.")[None]
    assert ids.shape == (1, 10)
    assert relative_error(sg.logits(lm.model, lm.params, ids), their_logits(theirs, ids)) < 1e-5


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("name", CONFIGS)
def test_an_exported_model(tmp_path: Path, name: str, tokenizer: str) -> None:
    ours = TOKENIZERS[tokenizer]()
    lm = language_model(replace(CONFIGS[name], vocab_size=ours.vocab_size + 3), ours)
    export_huggingface(lm, tmp_path / "out")
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(loading.values()), loading  # nothing is missing, surplus or of another shape
    assert model.dtype == torch.float32
    assert relative_error(their_logits(model, tokens(lm.model.config)), logits(lm)) < 1e-5

    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = [ours.encode(text).tolist() for text in TEXTS]
    assert theirs(TEXTS)["input_ids"] == ids
    assert theirs.batch_decode(ids) == [ours.decode(each) for each in ids]
    text = f"the {END}{END} fox"
    assert theirs(text)["input_ids"] == ours.encode(text, allow_special=True).tolist()
    assert (theirs.bos_token, theirs.eos_token_id) == (END, lm.eos_token_ids[0])

    new = their_greedy(model, ours.encode("the ").tolist(), 12)
    assert theirs.decode(new, skip_special_tokens=True) == lm.generate(
        "the ", max_new_tokens=12, temperature=0
    )


def test_ids_without_a_token_are_never_generated(tmp_path: Path) -> None:
    lm = language_model(CONFIGS["untied"])
    lm.params["ln_f.bias"][...] = 1.0
    lm.params["lm_head.weight"][lm.tokenizer.vocab_size :] = 10.0  # the likeliest of all
    export_huggingface(lm, tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    new = their_greedy(model, [65], 10)
    assert lm.tokenizer.decode(new) == lm.generate("A", max_new_tokens=10, temperature=0)
    assert their_logits(model, np.array([[65]])).argmax() >= lm.tokenizer.vocab_size


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_an_exported_model_of_16_bits(tmp_path: Path, dtype: FloatType) -> None:
    lm = language_model(SMALL)
    export_huggingface(lm, tmp_path / "out", dtype)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.dtype == getattr(torch, dtype)
    for name, values in model.state_dict().items():
        if name != "lm_head.weight":
            expected = torch.tensor(lm.params[name.removeprefix("transformer.")]).to(model.dtype)
            assert torch.equal(values, expected), name


def test_an_unknown_character(tmp_path: Path) -> None:
    without_unk = tokenizers.CharTokenizer.train(TEXT, specials=[END])
    export_huggingface(language_model(SMALL, without_unk), tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs(TEXT)["input_ids"] == without_unk.encode(TEXT).tolist()
    with pytest.raises(Exception, match="Missing"):
        theirs("ß")


def test_missing_bos_and_eos_are_null(tmp_path: Path) -> None:
    lm = replace(language_model(SMALL), bos_token_id=None, eos_token_ids=())
    export_huggingface(lm, tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (model.config.bos_token_id, model.config.eos_token_id) == (None, None)
    assert (model.generation_config.bos_token_id, model.generation_config.eos_token_id) == (None, None)
    export_huggingface(replace(lm, eos_token_ids=(3, 5)), tmp_path / "two")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "two")
    assert model.config.eos_token_id == model.generation_config.eos_token_id == [3, 5]


def test_why_a_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    hf = pytest.importorskip("tokenizers")
    ours = SentencePieceTokenizer.train([FABLES], 400, [END])
    with pytest.raises(sg.InputError, match="would parse the text <0x41> as the byte 0x41"):
        export_huggingface(language_model(replace(SMALL, vocab_size=400), ours), tmp_path / "out")
    assert not list(tmp_path.iterdir())
    pieces = [(piece.piece, piece.score) for piece in ours._model.pieces]
    theirs = hf.Tokenizer(hf.models.Unigram(pieces, 1, True))
    assert [pieces[i][0] for i in theirs.encode("<0x41>").ids] == ["<0x41>"]
    assert len(ours.encode("<0x41>")) > 1


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    constants = pytest.importorskip("huggingface_hub").constants
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))  # which the package has read already
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return cache


def in_cache(cache: Path, address: str) -> Path:
    """Write a model where the hub's package would have put it."""
    repository = cache / f"models--{address.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    export_huggingface(language_model(SMALL), repository / "snapshots" / commit)
    return repository / "snapshots" / commit


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("gpt2", "openai-community/gpt2"),
        ("gpt2", "gpt2"),
        ("distilgpt2", "distilbert/distilgpt2"),
        ("somebody/model-1.5", "somebody/model-1.5"),
    ],
)
def test_a_model_from_the_cache_of_the_hub(hub_cache: Path, name: str, address: str) -> None:
    folder = in_cache(hub_cache, address)
    np.testing.assert_array_equal(logits(sg.load(name)), logits(language_model(SMALL)))
    np.testing.assert_array_equal(logits(sg.load(Path(name))), logits(language_model(SMALL)))
    (folder / "model.safetensors").unlink()
    with pytest.raises(sg.InputError, match=f"could not download {name}: .*to work offline, put its files"):
        sg.load(name)


def test_offline_the_message_says_what_to_fetch(hub_cache: Path) -> None:
    with pytest.raises(sg.InputError) as error:
        sg.load("gpt2-medium")
    message = str(error.value)
    assert "\n" not in message
    for words in (
        "could not download gpt2-medium",
        "config.json",
        "model.safetensors",
        "a folder named gpt2-medium",
    ):
        assert words in message
    assert not hub_cache.exists() or not list(hub_cache.rglob("*.safetensors"))


def test_a_model_that_is_downloaded(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(address: str, *, allow_patterns: list[str]) -> str:
        asked.append((address, allow_patterns))
        return str(in_cache(hub_cache, address))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    np.testing.assert_array_equal(logits(sg.load("gpt2-xl")), logits(language_model(SMALL)))
    np.testing.assert_array_equal(logits(sg.load("gpt2-xl")), logits(language_model(SMALL)))
    ((address, patterns),) = asked  # the second time it is in the cache
    assert address == "openai-community/gpt2-xl"
    assert {"config.json", "model.safetensors", "tokenizer.json", "merges.txt"} < set(patterns)
    assert not any(pattern.endswith((".bin", ".h5", ".py")) for pattern in patterns)


def test_a_model_on_the_hub_without_a_file_that_is_needed(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(address: str, *, allow_patterns: list[str]) -> str:
        folder = in_cache(hub_cache, address)
        (folder / "model.safetensors").unlink()
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(sg.InputError, match=r"the Hugging Face Hub's a/b has no model\.safetensors"):
        sg.load("a/b")


def test_a_config_as_transformers_writes_it_is_read_back(tmp_path: Path) -> None:
    export_huggingface(
        language_model(CONFIGS["exact GELU, narrow MLP, other eps, dropout"]), tmp_path / "out"
    )
    theirs = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    ours = json.loads((tmp_path / "out" / "config.json").read_text())
    for key, value in ours.items():
        found = getattr(theirs, key)
        assert (str(found).removeprefix("torch.") if key == "dtype" else found) == value, key
    assert theirs.max_position_embeddings == 16
    assert theirs.resid_pdrop == theirs.embd_pdrop == theirs.attn_pdrop == 0.25
