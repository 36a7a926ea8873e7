"""A learner's functions in the real model: they train like the engine's, or the wrong layer is named."""

import dataclasses
from pathlib import Path

import pytest

from lessons.kit import files, graft
from lessons.kit.files import Missing
from scratchgpt import GPTConfig
from scratchgpt.backends import get_backend
from scratchgpt.errors import InputError
from scratchgpt.training.settings import RunSettings
from tests.lessons.learner import answer

CONFIG = GPTConfig(vocab_size=23, block_size=16, n_layer=2, n_head=2, n_embd=16)


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu_exact"])
def test_ten_steps_with_a_learners_functions_match_the_engines(written: Path, activation: str) -> None:
    config = dataclasses.replace(CONFIG, activation=activation)
    assert graft.difference("all", config) < 1e-9
    assert graft.blame("all", config) == "no single layer is wrong"
    assert graft.difference("2,13,14", config) < 1e-9  # without lesson 10, with dropout
    assert graft.blame("2,13,14", config) == "no single layer is wrong"


def test_the_first_wrong_layer_is_named_from_the_loss(written: Path) -> None:
    by_id = {fault.id: fault for fault in files.faults(8)}
    expected = {"LN-MEAN": "backward of ln_f (layernorm): dx is wrong", "LN-EPS": "forward of h.0.ln_1"}
    for id_, words in expected.items():
        files.exercise_path(8).write_text(files.patched(answer(8), by_id[id_]), encoding="utf-8")
        assert graft.difference("4,8", CONFIG) > 1e-9
        assert words in graft.blame("4,8", CONFIG)


@pytest.mark.parametrize(
    ("number", "right", "wrong", "words"),
    [
        (2, "dloss / targets.size", "dloss", "backward of lm_head and the loss (linear_cross_entropy)"),
        (13, "dx = dy * saved", "dx = dy", "backward of h.1.mlp (dropout): dx is wrong"),
        (14, "1.0 - beta2**t", "1.0", "the AdamW update (lesson 14) differs from the engine's"),
    ],
)
def test_the_loss_dropout_and_adamw_of_a_learner_are_blamed(
    written: Path, number: int, right: str, wrong: str, words: str
) -> None:
    text = answer(number)
    assert text.count(right) == 1
    files.exercise_path(number).write_text(text.replace(right, wrong), encoding="utf-8")
    assert graft.difference("2,13,14", CONFIG) > 1e-9
    assert words in graft.blame("2,13,14", CONFIG)


def test_what_cannot_be_grafted_is_refused(desk: Path) -> None:
    with pytest.raises(Missing, match=r"08_layernorm\.py is not started; write it first, or leave out"):
        graft.difference("8", CONFIG)
    with pytest.raises(Missing, match="no exercise of a part of the model is started; write one first"):
        graft.difference("all", CONFIG)
    with pytest.raises(Missing, match="cannot train with lesson '7'; expected some of 2, 4, 5, 6, 8"):
        graft.difference("7", CONFIG)


@pytest.mark.parametrize(
    ("number", "right", "wrong", "words"),
    [
        (4, "return dx,", "return dx.T,", "backward of h.1.mlp.c_proj (linear): dx is wrong, it has shape"),
        (
            4,
            "@ weight.T",
            "@ wait.T",
            "lessons/exercises/04_matmul.py:28: dx = (drows @ wait.T).reshape(x.shape) NameError",
        ),
        (5, "return dwte,", "return None, dwte,", "(embedding) returns 3 values, expected 2"),
        (8, "def forward(", "def forward((", "lessons/exercises/08_layernorm.py:11: def forward((x, weight"),
        (14, "return w, m, v", "return w", "step returned an array of shape"),
    ],
)
def test_a_function_that_raises_is_reported_with_its_lesson(
    written: Path, number: int, right: str, wrong: str, words: str
) -> None:
    text = answer(number)
    assert right in text
    files.exercise_path(number).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    settings = RunSettings("fables", model=dataclasses.asdict(CONFIG))
    with pytest.raises(InputError) as caught:
        graft.in_training(str(number), settings, get_backend("numpy"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
