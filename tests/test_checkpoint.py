"""Checkpoints: exact, atomic, and refused with words when damaged."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import scratchgpt as sg
from scratchgpt.checkpoint import load_training_state, load_weights, save_training_state, save_weights
from scratchgpt.files import atomic_path, make_folder, read_text

CONFIG = sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8)
MODEL = sg.GPT(CONFIG)


def trained_optimizer() -> sg.AdamW:
    optimizer = sg.AdamW(MODEL.init(seed=4))
    rng = np.random.default_rng(0)
    for _ in range(3):
        optimizer.step(optimizer.params.map(lambda flat: rng.standard_normal(flat.shape).astype("float32")))
    return optimizer


def test_weights_come_back_exactly_with_gpt2_names(tmp_path: Path) -> None:
    params = MODEL.init(seed=4)
    save_weights(tmp_path / "w.safetensors", params, {"step": 7})
    loaded, metadata = load_weights(tmp_path / "w.safetensors", MODEL)
    np.testing.assert_array_equal(loaded.flat, params.flat)
    assert loaded.flat.dtype == np.float32
    assert metadata["step"] == 7
    tensors = load_file(tmp_path / "w.safetensors")
    assert set(tensors) == {param.name for param in MODEL.params}
    assert tensors["h.0.attn.c_attn.weight"].shape == (8, 24)


def test_a_training_state_comes_back_exactly(tmp_path: Path) -> None:
    optimizer = trained_optimizer()
    save_training_state(tmp_path / "s.safetensors", optimizer, {})
    other = sg.AdamW(MODEL.init(seed=99))
    load_training_state(tmp_path / "s.safetensors", MODEL, other)
    assert other.t == 3
    for ours, theirs in ((other.params, optimizer.params), (other.m, optimizer.m), (other.v, optimizer.v)):
        np.testing.assert_array_equal(ours.flat, theirs.flat)
    weights, _ = load_weights(tmp_path / "s.safetensors", MODEL)  # a state holds weights, too
    np.testing.assert_array_equal(weights.flat, optimizer.params.flat)


def test_a_state_without_moments_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", MODEL.init(), {})
    with pytest.raises(sg.InputError, match="holds weights only; expected a training state"):
        load_training_state(tmp_path / "w.safetensors", MODEL, sg.AdamW(MODEL.init()))


@pytest.mark.parametrize("keep", [0, 5, 200, 2000, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, MODEL.init(), {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(sg.InputError, match=r"w\.safetensors is corrupted or truncated"):
        load_weights(path, MODEL)


def test_a_file_of_noise_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(sg.InputError, match="does not exist; expected a checkpoint"):
        load_weights(path, MODEL)
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(sg.InputError, match="is corrupted or truncated"):
        load_weights(path, MODEL)


def test_another_shape_is_refused_by_tensor(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, MODEL.init(), {})
    wider = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=16))
    with pytest.raises(
        sg.InputError, match=r"'wte.weight' has shape \(11, 8\); this model's has shape \(11, 16\)"
    ):
        load_weights(path, wider)
    deeper = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8))
    with pytest.raises(sg.InputError, match=r"has no tensor 'h\.1\."):
        load_weights(path, deeper)
    save_weights(path, deeper.init(), {})
    with pytest.raises(
        sg.InputError, match=r"has a tensor 'h\.1\..*' that this model .1 layers.* does not have"
    ):
        load_weights(path, MODEL)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, MODEL.init(seed=1), {})
    before = path.read_bytes()
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("power cut")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_float64_weights_stay_float64(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", MODEL.init(dtype="float64"), {})
    assert load_weights(tmp_path / "w.safetensors", MODEL)[0].flat.dtype == np.float64


def test_a_foreign_file_with_our_names_loads(tmp_path: Path) -> None:
    """What another tool writes, in any order and without our metadata, is as good."""
    params = MODEL.init(seed=8)
    save_file(
        {name: np.ascontiguousarray(view) for name, view in reversed(list(params.items()))}, tmp_path / "w"
    )
    loaded, metadata = load_weights(tmp_path / "w", MODEL)
    np.testing.assert_array_equal(loaded.flat, params.flat)
    assert metadata == {}


def test_text_files_are_read_with_words_for_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    with pytest.raises(sg.InputError, match="does not exist"):
        read_text(path)
    path.write_bytes(b"")
    with pytest.raises(sg.InputError, match="is empty"):
        read_text(path)
    path.write_bytes(b"good \xff bad")
    with pytest.raises(sg.InputError, match="is not UTF-8: byte 0xff at offset 5"):
        read_text(path)
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(path) == "a\nb\nc\n"
    with pytest.raises(sg.InputError, match="is a folder"):
        read_text(tmp_path)


def test_a_folder_under_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(sg.InputError, match="cannot write to folder"):
        make_folder(tmp_path / "file" / "run")
    with pytest.raises(sg.InputError, match="cannot write"), atomic_path(tmp_path / "nowhere" / "x"):
        pass
