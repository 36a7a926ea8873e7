"""Checkpoints: exact, atomic, and refused with a clear message when damaged."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import scratchgpt as sg
from scratchgpt.checkpoint import (
    FORMAT_VERSION,
    load_training_state,
    load_weights,
    save_training_state,
    save_weights,
)
from scratchgpt.utils.files import atomic_path, make_folder, read_text, remove_temporaries

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
    with pytest.raises(sg.InputError, match=r"has a tensor 'h\.1\..*', which this model .1 layers.* lacks"):
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


def test_errors_of_text_files_say_what_is_wrong(tmp_path: Path) -> None:
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


def facts_in_header(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["scratchgpt"])


def rewrite(path: Path, facts: dict[str, Any]) -> None:
    """Write a file again, the same tensors with other facts, as another version of the program might."""
    save_file(load_file(path), path, {"scratchgpt": json.dumps(facts)})


@pytest.fixture(scope="module")
def saved_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a training state, which no test may change."""
    path = tmp_path_factory.mktemp("state") / "whole.safetensors"
    save_training_state(path, trained_optimizer(), {"step": 3, "val_loss": 0.1})
    return path


@settings(max_examples=300)
@given(data=st.data())
def test_one_flipped_bit_is_never_taken_for_a_checkpoint(data: st.DataObject, saved_state: Path) -> None:
    path = saved_state.with_name("s.safetensors")
    content = bytearray(saved_state.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    in_header = data.draw(st.booleans())
    place = data.draw(st.integers(0, header - 1) if in_header else st.integers(header, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    other = sg.AdamW(MODEL.init(seed=99))
    before = other.params.copy()
    with pytest.raises(sg.InputError, match=r"s\.safetensors"):
        load_training_state(path, MODEL, other)
    np.testing.assert_array_equal(other.params.flat, before.flat)


def test_a_damaged_file_is_refused_and_intact_files_in_its_folder_are_named(tmp_path: Path) -> None:
    optimizer = trained_optimizer()
    for name in ("best", "last", "step-000300", "step-000400"):
        save_training_state(tmp_path / f"{name}.safetensors", optimizer, {"step": 1})
    for name in ("last", "step-000400"):
        content = bytearray((tmp_path / f"{name}.safetensors").read_bytes())
        content[-5] ^= 4
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    words = (
        r"last\.safetensors is corrupted or truncated: its checksum is [0-9a-f]{8}, but [0-9a-f]{8} was "
        r"saved with it; .*; intact files in that folder: best\.safetensors, step-000300\.safetensors$"
    )
    with pytest.raises(sg.InputError, match=words):
        load_training_state(tmp_path / "last.safetensors", MODEL, optimizer)
    with pytest.raises(sg.InputError, match=r"last\.safetensors is corrupted"):
        load_weights(tmp_path / "last.safetensors", MODEL)
    load_training_state(tmp_path / "step-000300.safetensors", MODEL, optimizer)


def test_a_fact_that_has_changed_is_refused_like_a_weight(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, MODEL.init(), {"step": 7})
    rewrite(path, facts_in_header(path) | {"step": 3})
    with pytest.raises(sg.InputError, match="its checksum is"):
        load_weights(path, MODEL)


def test_other_tools_open_a_file_with_a_checksum_and_may_write_it_without(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    params = MODEL.init(seed=4)
    save_weights(path, params, {"step": 7})
    assert facts_in_header(path)["version"] == FORMAT_VERSION
    tensors = load_file(path)
    for name, view in params.items():
        np.testing.assert_array_equal(tensors[name], view)
    save_file(tensors, path)
    np.testing.assert_array_equal(load_weights(path, MODEL)[0].flat, params.flat)


def test_a_file_of_version_1_had_no_checksum_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    optimizer = trained_optimizer()
    save_training_state(path, optimizer, {"step": 7})
    facts = facts_in_header(path)
    del facts["crc32"]
    rewrite(path, facts | {"version": 1})
    other = sg.AdamW(MODEL.init(seed=99))
    assert load_training_state(path, MODEL, other)["step"] == 7
    np.testing.assert_array_equal(other.params.flat, optimizer.params.flat)
    rewrite(path, facts)  # version 2 without one is damaged
    with pytest.raises(sg.InputError, match=r"its checksum is [0-9a-f]{8}, but None was saved with it"):
        load_weights(path, MODEL)


def test_a_newer_file_and_one_of_no_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, MODEL.init(), {})
    rewrite(path, {"version": 3, "something": "new"})
    with pytest.raises(
        sg.InputError, match="format version 3, written by a newer scratchgpt; expected at most 2"
    ):
        load_weights(path, MODEL)
    rewrite(path, {"version": "two"})
    with pytest.raises(sg.InputError, match="its format version is 'two'"):
        load_weights(path, MODEL)
    save_file(load_file(path), path, {"scratchgpt": "[]"})
    with pytest.raises(sg.InputError, match="its format version is None"):
        load_weights(path, MODEL)


def test_a_save_syncs_the_file_before_it_gets_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, r=real, **kw: (log.append(n), r(*args, **kw)))
    save_weights(tmp_path / "w.safetensors", MODEL.init(), {})
    assert log == ["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"]


def test_only_temporary_files_of_ours_are_removed(tmp_path: Path) -> None:
    ours = {".best.safetensors.123.tmp", ".tmpgJd7I3"}
    others = {".tmp", ".x.tmp", "x.1.tmp", ".x.1.tmp.txt", ".tmp1", "last.safetensors"}
    for name in ours | others:
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others
