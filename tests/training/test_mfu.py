"""Model FLOPs utilization: the FLOPs of training, and the machine's rate of matrix products."""

import pytest

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.training.mfu import ideal_seconds_per_token, matrix_rate, training_flops


@pytest.mark.parametrize("tie_weights", [False, True])
def test_six_flops_per_weight_and_those_of_attention(tie_weights: bool) -> None:
    config = sg.GPTConfig(
        vocab_size=11, block_size=6, n_layer=3, n_head=2, n_embd=8, n_inner=20, tie_weights=tie_weights
    )
    in_blocks = sum(param.size for param in sg.GPT(config).params if param.decays and param.name[:2] == "h.")
    head = 11 * 8
    scores = values = 2 * 6 * 8 / 2  # for one row of T = 6 positions and C = 8 channels; half is masked
    assert training_flops(config) == 6 * (in_blocks + head) + 3 * 3 * (scores + values)


def test_the_measured_rate_is_plausible(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scratchgpt.training.mfu.MATRIX_SIZE", 1024)  # not the small ones of conftest
    rate = matrix_rate(backend)
    assert 1e8 < rate < 1e16
    config = sg.GPTConfig(vocab_size=65, block_size=64, n_layer=1, n_head=1, n_embd=16)
    seconds = ideal_seconds_per_token(config, backend)
    assert training_flops(config) / 1e16 < seconds < training_flops(config) / 1e8
