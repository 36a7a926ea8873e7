"""Formats of other programs, with nothing of theirs installed: files, their errors, and round trips."""

import json
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.cli.commands.export import main as export
from scratchgpt.cli.commands.import_ import main as import_
from scratchgpt.language_model.formats import hub
from scratchgpt.language_model.formats.float_types import (
    FloatType,
    bfloat16_bits,
    from_bfloat16_bits,
    to_type,
)
from scratchgpt.language_model.formats.huggingface_export import export_huggingface
from scratchgpt.language_model.formats.safetensors_file import stored_tensors, write_tensors
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer
from tests.support.ecosystem_models import CONFIGS, END, SMALL, TEXT, characters, language_model, logits

HEAD = "lm_head.weight"


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
@example([0x7F800001, 0xFF80FFFF])  # NaN by its last bits alone
def test_bfloat16_is_that_of_ml_dtypes_for_every_float32(bits: list[int]) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):  # NaN
        theirs = values.astype(ml_dtypes.bfloat16)
    ours = from_bfloat16_bits(bfloat16_bits(values))
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs.astype(np.float32))


def test_every_bfloat16_survives() -> None:
    every = np.arange(2**16, dtype=np.uint16)
    numbers = from_bfloat16_bits(every)
    kept = ~np.isnan(numbers)
    np.testing.assert_array_equal(bfloat16_bits(numbers)[kept], every[kept])
    np.testing.assert_array_equal(numbers, every.view(ml_dtypes.bfloat16).astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "largest", "too_large"),
    [("float16", 65504.0, 65520.0), ("bfloat16", 3.3895313892515355e38, 3.4028234663852886e38)],
)
def test_a_number_too_large_for_its_type_is_refused(
    dtype: FloatType, largest: float, too_large: float
) -> None:
    to_type(np.array([largest, -largest, np.inf, np.nan], np.float32), dtype, "x")
    with pytest.raises(sg.InputError, match=f"h.0 has values up to .* too large for {dtype}"):
        to_type(np.array([1.0, -too_large], np.float32), dtype, "h.0")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_library_reads_our_safetensors_files(tmp_path: Path, dtype: FloatType) -> None:
    from safetensors import safe_open

    rng = np.random.default_rng(0)
    tensors = {"b": rng.standard_normal((3, 5), np.float32), "a.ü": rng.standard_normal(7, np.float32).T}
    path = tmp_path / "x.safetensors"
    write_tensors(path, tensors, dtype)
    names = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        for name, values in tensors.items():
            assert file.get_slice(name).get_shape() == list(values.shape)
            if dtype != "bfloat16":  # the library's reader may know it or not
                np.testing.assert_array_equal(file.get_tensor(name), values.astype(names[dtype]))
    found = stored_tensors(path)
    assert found.keys() == tensors.keys()
    for name, values in tensors.items():
        assert found[name].shape == values.shape
        np.testing.assert_array_equal(found[name].read(), values.astype(names[dtype]).astype(np.float32))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tokenizer", [characters, lambda: ByteTokenizer([END])], ids=["chars", "bytes"])
def test_a_saved_model_is_the_same_bit_for_bit(
    tmp_path: Path, name: str, tokenizer: Callable[[], sg.CharTokenizer]
) -> None:
    lm = language_model(CONFIGS[name], tokenizer())
    lm.save(tmp_path / "new" / "folder")
    again = sg.load(tmp_path / "new" / "folder")
    assert again.model.config == lm.model.config
    assert again.params.flat.tobytes() == lm.params.flat.tobytes()
    assert again.tokenizer.to_bytes() == lm.tokenizer.to_bytes()
    assert (again.bos_token_id, again.eos_token_ids) == (lm.bos_token_id, lm.eos_token_ids)
    single = sg.load(tmp_path / "new" / "folder" / "best.safetensors")
    assert single.params.flat.tobytes() == lm.params.flat.tobytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["folder"]  # nothing is left over


@pytest.mark.parametrize("ends", [(), (3,), (3, 5)])
@pytest.mark.parametrize("begin", [None, 0])
def test_bos_and_eos_are_saved(tmp_path: Path, begin: int | None, ends: tuple[int, ...]) -> None:
    lm = replace(language_model(SMALL), bos_token_id=begin, eos_token_ids=ends)
    lm.save(tmp_path / "ours")
    export_huggingface(lm, tmp_path / "theirs")
    for folder in ("ours", "theirs"):
        again = sg.load(tmp_path / folder)
        assert (again.bos_token_id, again.eos_token_ids) == (begin, ends)


@pytest.mark.parametrize(
    "write", [lambda lm, folder: lm.save(folder), export_huggingface], ids=["save", "export"]
)
def test_nothing_is_overwritten(tmp_path: Path, write: Callable[[sg.LanguageModel, Path], None]) -> None:
    lm = language_model(SMALL)
    (tmp_path / "empty").mkdir()
    write(lm, tmp_path / "empty")
    assert np.array_equal(logits(sg.load(tmp_path / "empty")), logits(lm))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(sg.InputError, match="empty already exists and is not empty"):
        write(lm, tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(sg.InputError, match="file already exists"):
        write(lm, tmp_path / "file")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_failed_save_leaves_no_folder(tmp_path: Path) -> None:
    lm = language_model(SMALL)
    lm.params["h.1.mlp.c_fc.weight"][0, 0] = 1e6
    with pytest.raises(
        sg.InputError, match=r"h\.1\.mlp\.c_fc\.weight has values up to 1e\+06, too large for float16"
    ):
        export_huggingface(lm, tmp_path / "out", "float16")
    assert not list(tmp_path.iterdir())


def test_another_process_fills_the_folder_in_the_meantime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scratchgpt.language_model import saving

    def late(*args: object) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").touch()

    monkeypatch.setattr(saving, "save_weights", late)
    with pytest.raises(sg.InputError, match="out"):
        language_model(SMALL).save(tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "theirs"]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tokenizer", [characters, lambda: ByteTokenizer([END])], ids=["chars", "bytes"])
def test_exported_and_imported_bit_for_bit(
    tmp_path: Path, name: str, tokenizer: Callable[[], sg.CharTokenizer]
) -> None:
    lm = language_model(CONFIGS[name], tokenizer())
    export_huggingface(lm, tmp_path / "out")
    for again in (sg.load(tmp_path / "out"), sg.load(tmp_path / "out" / "model.safetensors")):
        for key, view in again.params.items():
            expected = lm.params[key] if key in lm.params else np.zeros_like(view)
            assert view.tobytes() == expected.tobytes(), key
        assert again.model.config == sg.GPTConfig.from_dict(vars(lm.model.config) | {"bias": True})
        np.testing.assert_array_equal(logits(again), logits(lm))
        assert again.generate("the ", max_new_tokens=20, temperature=0) == lm.generate(
            "the ", max_new_tokens=20, temperature=0
        )
        for text in (TEXT, "the " + END, ""):
            for allow in (False, True):
                ids = lm.tokenizer.encode(text, allow_special=allow)
                np.testing.assert_array_equal(again.tokenizer.encode(text, allow_special=allow), ids)
                assert again.tokenizer.decode(ids) == lm.tokenizer.decode(ids)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_weights_become_float32(tmp_path: Path, dtype: FloatType) -> None:
    lm = language_model(SMALL)
    export_huggingface(lm, tmp_path / "out", dtype)
    again = sg.load(tmp_path / "out")
    assert again.params.flat.dtype == np.float32
    rounded = to_type(lm.params.flat, dtype, "x")
    expected = from_bfloat16_bits(rounded) if dtype == "bfloat16" else rounded.astype(np.float32)
    np.testing.assert_array_equal(again.params.flat, expected)


def test_weights_are_read_one_by_one(tmp_path: Path) -> None:
    lm = language_model(replace(SMALL, n_layer=12, n_embd=64))
    export_huggingface(lm, tmp_path / "out", "bfloat16")
    tracemalloc.start()
    try:
        again = sg.load(tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.3 * again.params.flat.nbytes


Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write a model in Hugging Face's format, changed somehow."""

    def make(
        config: sg.GPTConfig = SMALL,
        tensors: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = lambda tensors: tensors,
        **values: object,
    ) -> Path:
        export_huggingface(language_model(config), tmp_path / "model")
        path = tmp_path / "model" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values), encoding="utf-8")
        path = tmp_path / "model" / "model.safetensors"
        write_tensors(
            path,
            tensors({name: tensor.read().copy() for name, tensor in stored_tensors(path).items()}),
            "float32",
        )
        return tmp_path / "model"

    return make


def renamed(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix("transformer."): value for name, value in tensors.items()}


MASKS = {"transformer.h.0.attn.bias": np.ones((1, 1, 16, 16)), "transformer.h.1.attn.masked_bias": np.ones(1)}


@pytest.mark.parametrize(
    "change",
    [
        renamed,
        lambda tensors: tensors | MASKS,
        lambda tensors: renamed(tensors | MASKS),
        lambda tensors: tensors | {HEAD: tensors["transformer.wte.weight"]},
        lambda tensors: dict(sorted(tensors.items(), reverse=True)),
    ],
    ids=["no prefix", "masks", "masks without prefix", "a copy as head", "another order"],
)
def test_tensor_names_that_programs_write(
    folder: Folder, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
) -> None:
    lm = sg.load(folder(tensors=change))
    assert lm.model.config == SMALL
    np.testing.assert_array_equal(logits(lm), logits(language_model(SMALL)))


def test_a_separate_head_is_not_tied(folder: Folder) -> None:
    lm = sg.load(folder(CONFIGS["untied"], tie_word_embeddings=True))
    np.testing.assert_array_equal(logits(lm), logits(language_model(CONFIGS["untied"])))


def test_shards(folder: Folder) -> None:
    path = folder()
    whole = {name: tensor.read() for name, tensor in stored_tensors(path / "model.safetensors").items()}
    (path / "model.safetensors").unlink()
    places = {name: f"model-0000{1 + i % 3}-of-00003.safetensors" for i, name in enumerate(whole)}
    for file in set(places.values()):
        write_tensors(path / file, {name: whole[name] for name in whole if places[name] == file}, "float32")
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")
    np.testing.assert_array_equal(logits(sg.load(path)), logits(language_model(SMALL)))
    (path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(sg.InputError, match=r"model-00002-of-00003\.safetensors does not exist"):
        sg.load(path)
    for bad in (None, {"a": 1}, {"a": "../x"}):
        index.write_text(json.dumps({"weight_map": bad}), encoding="utf-8")
        with pytest.raises(sg.InputError, match="expected a file name for every tensor"):
            sg.load(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'; only 'gpt2' is supported"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False; only True is supported"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"activation_function": "relu"}, "activation_function is 'relu'; expected one of gelu_new"),
        ({"n_head": 3}, r"n_embd is 16 and n_head is 3"),
        ({"n_layer": "two"}, r"config\.json: n_layer is 'two'; expected a whole number"),
        (
            {"n_positions": 17},
            r"'wpe\.weight' has shape \(16, 16\); expected \(17, 16\), according to config.json",
        ),
        ({"n_inner": 7}, r"'h\.0\.mlp\.c_fc\.weight' has shape \(16, 64\); expected \(16, 7\)"),
        ({"n_layer": 3}, r"lacks tensor 'h\.2\.ln_1\.weight'; expected one of shape \(16,\)"),
        (
            {"n_layer": 1},
            r"has a tensor 'h\.1\.attn\.c_attn\.bias' of shape \(48,\), which GPT-2 with n_layer 1",
        ),
        (
            {"tie_word_embeddings": False},
            r"lacks tensor 'lm_head\.weight'; expected one of shape \(300, 16\)",
        ),
        ({"eos_token_id": "end"}, None),
    ],
)
def test_a_config_that_does_not_fit(folder: Folder, values: dict[str, object], words: str | None) -> None:
    path = folder(**values)
    if words is None:  # generation_config.json says it
        assert sg.load(path).eos_token_ids == (256,)
        (path / "generation_config.json").unlink()
        words = "token id is 'end'"
    with pytest.raises(sg.InputError, match=words):
        sg.load(path)


def test_names_and_defaults_of_transformers(folder: Folder) -> None:
    path = folder(
        reorder_and_upcast_attn=True,
        activation_function="gelu_pytorch_tanh",
        bos_token_id=50256,
        eos_token_id=[256, 50256],
        hidden_size=16,
    )
    config = json.loads((path / "config.json").read_text())
    for name in ("n_embd", "n_inner", "layer_norm_epsilon", "scale_attn_weights", "tie_word_embeddings"):
        del config[name]
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (path / "generation_config.json").unlink()
    lm = sg.load(path)
    assert lm.bos_token_id is None and lm.eos_token_ids == (256,)  # nothing has id 50256
    np.testing.assert_array_equal(logits(lm), logits(language_model(SMALL)))


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "is not a run: it has no config.json"),
        ("model.safetensors", r"model\.safetensors does not exist"),
        (
            "tokenizer.json",
            r"holds no tokenizer; expected one of tokenizer\.json.*vocab\.json with merges\.txt",
        ),
    ],
)
def test_a_missing_file(folder: Folder, missing: str, words: str) -> None:
    path = folder()
    (path / missing).unlink()
    with pytest.raises(sg.InputError, match=words):
        sg.load(path)


def test_a_pickle_is_never_opened(folder: Folder) -> None:
    path = folder()
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(sg.InputError, match=r"pytorch_model\.bin is a pickle, which is never opened"):
        sg.load(path)


def test_damaged_weights(folder: Folder) -> None:
    path = folder()
    file = path / "model.safetensors"
    content = file.read_bytes()
    for bad in (content[:-1], content[:20], b"", struct.pack("<Q", 2**60) + content[8:]):
        file.write_bytes(bad)
        with pytest.raises(sg.InputError, match=r"model\.safetensors is corrupted or truncated"):
            sg.load(path)
    file.write_bytes(content.replace(b'"F32"', b'"I32"', 1))
    with pytest.raises(sg.InputError, match="has type I32; expected one of F64, F32, F16, BF16"):
        sg.load(path)
    file.write_bytes(content)
    with pytest.raises(sg.InputError, match="leave out checkpoint 'last'"):
        sg.load(path, checkpoint="last")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"normalizer": {"type": "NFC"}}, "normalizer is"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer is"),
        ({"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 2}}}, "expected each id from 0 exactly once"),
        ({"model": {"type": "WordLevel", "vocab": ["a"]}}, "expected each id from 0 exactly once"),
    ],
)
def test_words_are_not_characters(tmp_path: Path, change: dict[str, object], words: str) -> None:
    export_huggingface(language_model(SMALL, characters()), tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(sg.InputError, match=words):
        sg.load(tmp_path / "model")


def test_what_the_format_does_not_support_is_refused(tmp_path: Path) -> None:
    adaptive = sg.GPTConfig(
        300, 16, n_layer=1, n_head=1, n_embd=16, tie_weights=False, adaptive_cutoffs=(99,)
    )
    with pytest.raises(sg.InputError, match="has no adaptive softmax"):
        export_huggingface(language_model(adaptive), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["gpt2", "owner/name"])
def test_without_the_package_the_message_says_what_to_fetch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scratchgpt.language_model.formats.libraries.importlib.import_module", missing)
    with pytest.raises(sg.InputError) as error:
        sg.load(name)
    for words in (
        "scratchgpt[hub]",
        "config.json",
        "model.safetensors",
        "merges.txt",
        f"into a folder named {name}",
    ):
        assert words in str(error.value)
    export_huggingface(language_model(SMALL), tmp_path / name)  # a folder of that name wins
    np.testing.assert_array_equal(logits(sg.load(name)), logits(language_model(SMALL)))


def test_hub_names_and_paths_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    names = ["gpt2", "gpt2-xl", "distilgpt2", "owner/name", "runs2/x"]
    paths = ["runs/typing-error", "nowhere", "/a/b", "./a/b", "../a", "a/b/c", "~/a", "a/", "", "runs"]
    assert [name for name in names + paths if hub.is_model_name(name)] == names
    for path in paths[:2]:
        with pytest.raises(sg.InputError, match=r"it does not exist; .* e\.g\. gpt2"):
            sg.load(path)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lm = language_model(SMALL, characters())
    run, theirs, ours = (str(tmp_path / name) for name in ("run", "theirs", "ours"))
    lm.save(run)
    assert export(["hf", run, theirs, "--dtype", "bfloat16"]) == 0
    assert import_(["hf", theirs, ours]) == 0
    assert capsys.readouterr().out.count(f"{lm.model.size:,} parameters") == 2
    expected = from_bfloat16_bits(bfloat16_bits(lm.params.flat))
    np.testing.assert_array_equal(sg.load(ours).params.flat, expected)
    assert isinstance(sg.load(ours).tokenizer, CharTokenizer)
    with pytest.raises(sg.InputError, match="dtype is 'flaot16'; did you mean 'float16'"):
        export(["hf", run, str(tmp_path / "new"), "--dtype", "flaot16"])
    with pytest.raises(sg.InputError, match=r"last\.safetensors does not exist"):
        export(["hf", run, str(tmp_path / "new"), "--checkpoint", "last"])
    with pytest.raises(sg.InputError, match="not empty"):
        import_(["hf", theirs, ours])
