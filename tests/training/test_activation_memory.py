"""The estimate of the memory for activations, compared with what the model really saves."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.backends.numpy import workers
from scratchgpt.nn.context import Context
from scratchgpt.nn.layers import Block, RecomputedBlock
from scratchgpt.ops.rng import RowStreams, step_rng
from scratchgpt.training.activation_memory import activation_bytes, activation_summary
from tests.gradcheck.test_faults import patched_module
from tests.support import gpu

BASE = sg.GPTConfig(vocab_size=29, block_size=24, n_layer=3, n_head=3, n_embd=24)
CONFIGS = {
    "plain": BASE,
    "dropout": dataclasses.replace(BASE, dropout=0.1),
    "narrow MLP, exact GELU, untied": dataclasses.replace(
        BASE, n_inner=30, activation="gelu_exact", tie_weights=False, bias=False
    ),
    "a large vocabulary": dataclasses.replace(BASE, vocab_size=2000),
    "many short heads": dataclasses.replace(BASE, n_head=12, dropout=0.1),
}
N_ROWS, N_TIME = 5, 17


def owner(array: np.ndarray) -> np.ndarray:
    """Return the array that owns a view's memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def reachable(thing: Any, found: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Collect the arrays in nested tuples and lists, each once by the memory that it owns."""
    if isinstance(thing, np.ndarray):
        found[id(owner(thing))] = owner(thing)
    elif isinstance(thing, list | tuple):
        for each in thing:
            reachable(each, found)
    return found


class Peak:
    """Measures the peak size in bytes of the stack of saved arrays during a pass, without the weights."""

    def __init__(self, model: sg.GPT, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
        params = model.init(dtype=dtype)
        streams = RowStreams.spawn(step_rng(1, 1), N_ROWS)
        ctx = Context(params, params.zeros_like(), sg.get_backend("reference").ops, streams)
        tokens, targets = np.random.default_rng(0).integers(0, 29, (2, N_ROWS, N_TIME))
        _, stack = model.forward(ctx, tokens, targets)
        self.weights, self.bytes = params.flat, 0
        self.look(stack)

        backward, again = Block.backward, RecomputedBlock.backward
        inputs = []

        def with_input(block: RecomputedBlock, ctx: Context, saved: Any, dx: np.ndarray) -> np.ndarray:
            inputs[:] = [saved]
            return again(block, ctx, saved, dx)

        def looking(block: Block, ctx: Context, saved: Any, dx: np.ndarray) -> np.ndarray:
            self.look([stack, inputs, saved])
            return backward(block, ctx, saved, dx)

        monkeypatch.setattr(RecomputedBlock, "backward", with_input)
        monkeypatch.setattr(Block, "backward", looking)
        model.backward(ctx, stack)

    def look(self, things: Any) -> None:
        arrays = reachable(things, {}).values()
        self.bytes = max(self.bytes, sum(each.nbytes for each in arrays if each is not self.weights))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_estimate_is_what_the_reference_backend_saves(
    monkeypatch: pytest.MonkeyPatch, name: str, recompute: bool, dtype: str
) -> None:
    model = sg.GPT(CONFIGS[name], recompute=recompute)
    peak = Peak(model, dtype, monkeypatch).bytes
    itemsize = np.dtype(dtype).itemsize
    estimate = activation_bytes(model.config, N_ROWS, N_TIME, itemsize=itemsize, recompute=recompute)
    assert estimate == pytest.approx(peak, rel=0.01)


FORGOTTEN = [
    ("3 * F", "2 * F", False),
    ("8 * C", "5 * C", False),
    (" + HT + 2 ", " + 2 ", False),
    (" + (2 * C + 2 * HT if dropout else 0)", "", False),
    ("(C + V)", "C", False),
    ("itemsize * C + block", "block", True),
    ("max(end_of_forward, last_block_again) if recompute else end_of_forward", "end_of_forward", True),
]


@pytest.mark.parametrize(("old", "new", "recompute"), FORGOTTEN, ids=[old for old, _, _ in FORGOTTEN])
def test_an_estimate_that_forgets_an_array_is_noticed(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, recompute: bool
) -> None:
    wrong = patched_module("scratchgpt.training.activation_memory", old, new)
    off = []
    for config in CONFIGS.values():
        peak = Peak(sg.GPT(config, recompute=recompute), "float32", monkeypatch).bytes
        monkeypatch.undo()
        off.append(abs(wrong.activation_bytes(config, N_ROWS, N_TIME, recompute=recompute) / peak - 1.0))
    assert max(off) > 0.1


@pytest.mark.parametrize("name", CONFIGS)
def test_recomputing_never_costs_more_than_a_block_s_input_and_saves_most_with_many_layers(name: str) -> None:
    config = dataclasses.replace(CONFIGS[name], n_layer=40)
    plain, recomputed = (activation_bytes(config, 5, 17, recompute=recompute) for recompute in (False, True))
    assert recomputed < plain / 2
    one = dataclasses.replace(config, n_layer=1)
    plain, recomputed = (activation_bytes(one, 5, 17, recompute=recompute) for recompute in (False, True))
    assert recomputed <= plain + 5 * 17 * 4 * config.n_embd


def test_the_summary_for_gpt2() -> None:
    gpt2 = sg.GPTConfig(vocab_size=50257)
    reference = sg.get_backend("reference")
    assert activation_summary(sg.GPT(gpt2), reference, 12) == (
        "peak activation memory: at most 17.6 GiB (batch 12 x 1024); 2.8 GiB with --training.recompute true"
    )
    bf16 = gpu.backend("bf16")
    assert activation_summary(sg.GPT(gpt2, recompute=True), bf16, 12) == (
        "peak activation memory: at most 1.4 GiB (batch 12 x 1024, blocks recomputed)"
    )


def test_only_rows_in_memory_at_the_same_time_count(monkeypatch: pytest.MonkeyPatch) -> None:
    model = sg.GPT(BASE)
    assert "(batch 12 x 24)" in activation_summary(model, sg.get_backend("reference"), 12)
    in_groups = activation_summary(model, sg.get_backend("reference"), 12, accumulate=5)
    assert "(batch 3 x 24)" in in_groups
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)
    monkeypatch.setattr(workers, "TOKENS_PER_MICRO_BATCH", 48)  # micro-batches of 2 rows or less
    for threads in (1, 3):
        summary = activation_summary(model, sg.get_backend("numpy", threads), 12)
        assert f"(batch {2 * threads} x 24)" in summary
