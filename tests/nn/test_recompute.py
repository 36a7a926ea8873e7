"""Blocks that are computed again in backward: the same gradients, bit for bit, from less memory."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from benchmarks import checkpointing
from benchmarks.models import Row
from benchmarks.our_steps import training_step
from scratchgpt.backends import Backend
from scratchgpt.backends.numpy import workers
from scratchgpt.generation import generate_batch
from scratchgpt.gradcheck import check_model
from scratchgpt.gradcheck.model_cases import CONFIGS, awkward_params
from scratchgpt.gradcheck.op_cases import TARGETS, TOKENS
from scratchgpt.nn import model as model_module
from scratchgpt.nn.context import Context
from scratchgpt.ops.rng import RowStreams, step_rng
from scratchgpt.training.step import StepResult, TrainingStep
from tests.gradcheck.test_faults import patched_module
from tests.support import gpu
from tests.support.faults import Fault

DROPOUT = CONFIGS["dropout, narrow MLP"]
VARIANTS = {
    "no dropout": CONFIGS["tied"],
    "dropout, tied": DROPOUT,
    "dropout, untied": dataclasses.replace(DROPOUT, tie_weights=False, bias=False),
}
BACKENDS: dict[str, Callable[[], Backend]] = {
    "reference": lambda: sg.get_backend("reference"),
    "numpy, 1 thread": lambda: sg.get_backend("numpy", 1),
    "numpy, 2 threads": lambda: sg.get_backend("numpy", 2),
    "numpy, 4 threads": lambda: sg.get_backend("numpy", 4),
    "cupy": gpu.backend,
    "cupy, bf16": lambda: gpu.backend("bf16"),
}


def pass_of(model: sg.GPT, backend: Backend, dtype: str) -> tuple[float, np.ndarray]:
    """Return loss and gradient of a batch of five rows, with dropout if the model has it."""
    params = awkward_params(model).map(lambda flat: flat.astype(dtype))
    x, y = np.tile(TOKENS, (2, 1))[:5], np.tile(TARGETS, (2, 1))[:5]
    loss, grads = sg.loss_and_grads(model, params, x, y, backend=backend, rng=step_rng(1, 2))
    return loss, backend.to_host(grads.flat)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_gradients_are_the_same_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, name: str, variant: str, dtype: str
) -> None:
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)  # several micro-batches
    backend = BACKENDS[name]()
    loss, grads = pass_of(sg.GPT(VARIANTS[variant]), backend, dtype)
    again, grads_again = pass_of(sg.GPT(VARIANTS[variant], recompute=True), backend, dtype)
    assert again == loss
    np.testing.assert_array_equal(grads_again, grads)


def train(backend: Backend, *, recompute: bool) -> tuple[list[StepResult], np.ndarray]:
    """Take four steps; return what they were and the weights."""
    model = sg.GPT(VARIANTS["dropout, untied"], recompute=recompute)
    params = model.init(1).map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), grad_clip=0.5)
    for i in range(4):
        take_step(TOKENS, TARGETS, 3e-3, step_rng(3, i))
    return take_step.read(), backend.to_host(params.flat)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_cupy_training_is_the_same_bit_for_bit(graph: bool) -> None:
    backend = gpu.backend(graph=graph)
    found, weights = train(backend, recompute=True)
    expected, expected_weights = train(backend, recompute=False)
    assert found == expected
    np.testing.assert_array_equal(weights, expected_weights)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradients_are_those_of_finite_differences(backend: Backend, variant: str) -> None:
    results = list(check_model(backend, variant, sg.GPT(VARIANTS[variant], recompute=True)))
    assert results
    assert all(result.passed for result in results)


def test_a_plain_generator_is_restored_too(backend: Backend) -> None:
    """What stands in the context need not be `RowStreams`; the pass leaves it where a plain one does."""
    found = []
    for recompute in (False, True):
        model = sg.GPT(DROPOUT, recompute=recompute)
        params, rng = awkward_params(model), np.random.default_rng(5)
        ctx = Context(params, params.zeros_like(), backend.ops, rng)
        _, saved = model.forward(ctx, TOKENS, TARGETS)
        model.backward(ctx, saved)
        found.append((ctx.grads.flat, rng.random(3)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_a_block_saves_only_its_input(backend: Backend) -> None:
    model = sg.GPT(DROPOUT, recompute=True)
    params = awkward_params(model)
    streams = RowStreams.spawn(step_rng(1, 1), len(TOKENS))
    _, saved = model.forward(Context(params, params.zeros_like(), backend.ops, streams), TOKENS, TARGETS)
    for x, rng in saved[1:3]:
        assert x.shape == (*TOKENS.shape, model.config.n_embd)
        assert isinstance(rng, RowStreams)


def test_recomputation_is_not_part_of_the_shape() -> None:
    plain, recomputed = sg.GPT(DROPOUT), sg.GPT(DROPOUT, recompute=True)
    assert recomputed.config == plain.config
    assert recomputed.params == plain.params
    assert (plain.recompute, recomputed.recompute) == (False, True)
    np.testing.assert_array_equal(recomputed.init(3).flat, plain.init(3).flat)


def test_a_recomputed_model_writes_the_same_text(backend: Backend) -> None:
    texts = [
        list(
            generate_batch(
                sg.BoundModel(model, model.init(4), backend),
                [[1, 2, 3], [4]],
                max_new_tokens=12,
                seed=2,
                temperature=1.0,
            )
        )
        for model in (sg.GPT(DROPOUT), sg.GPT(DROPOUT, recompute=True))
    ]
    assert texts[0] == texts[1]


@given(sizes=st.lists(st.integers(1, 9), max_size=4), n_rows=st.integers(1, 3), after=st.integers(1, 9))
def test_a_copy_of_the_streams_continues_from_the_same_state(
    sizes: list[int], n_rows: int, after: int
) -> None:
    streams = RowStreams.spawn(step_rng(3, 4), n_rows)
    for size in sizes:
        streams.random((n_rows, size), np.float32)
        streams.skip(size)
    twin = copy.deepcopy(streams)
    drawn = twin.random((n_rows, after), np.float32)
    assert twin.skip(after) == sum(sizes) == streams.drawn
    np.testing.assert_array_equal(streams.random((n_rows, after), np.float32), drawn)


def test_the_benchmark_takes_the_same_steps_both_ways() -> None:
    row = Row(sg.GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=12, dropout=0.1), 3)
    kept, again = (training_step(row, threads=1, recompute=recompute) for recompute in (False, True))
    losses = [kept() for _ in range(5)]
    assert losses[4] < losses[0]
    assert [again() for _ in range(5)] == losses


def test_the_benchmark_subtracts_weights_gradients_and_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, mib = Row(sg.GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=12), 3), 2**20
    assert checkpointing.without_activations(tiny, threads=2) == 16 * sg.GPT(tiny.config).size + 8 * 11 * 12
    monkeypatch.setitem(checkpointing.MODELS, "tiny", tiny)
    monkeypatch.setattr(checkpointing, "without_activations", lambda row, threads: 8 * threads * mib)
    figures = {
        "memory": {
            "kept": [{"imported": 100 * mib, "peak": 176 * mib}],
            "recomputed": [{"imported": 100 * mib, "peak": 136 * mib}],
        },
        "seconds": {"kept": [1.0, 1.0], "recomputed": [1.3, 1.3]},
    }
    (table,) = checkpointing.tables({"threads": 2, "models": {"tiny": figures}})
    kept, again = table.rows
    assert kept[1:4] == ["76", "60", "1.00"]
    assert again[1:4] == ["36", "20", "3.00"]
    assert again[-1] == "1.30"


FAULTS = [
    Fault("r1", "nn.layers.recomputed", "dataclasses.replace(ctx, rng=rng)", "ctx", "other masks"),
    Fault("r2", "nn.layers.recomputed", "copy.deepcopy(ctx.rng)", "ctx.rng", "the position is not kept"),
    Fault("r3", "nn.layers.recomputed", "(ctx, rng=rng)", "(ctx, rng=None)", "no dropout in backward"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["reference", "numpy", "cupy"])
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.mistake for fault in FAULTS])
def test_a_wrong_second_pass_is_caught(monkeypatch: pytest.MonkeyPatch, fault: Fault, name: str) -> None:
    backend = gpu.backend() if name == "cupy" else sg.get_backend(name)
    wrong = patched_module(f"scratchgpt.{fault.module}", fault.old, fault.new)
    monkeypatch.setattr(model_module, "RecomputedBlock", wrong.RecomputedBlock)
    _, grads = pass_of(sg.GPT(DROPOUT), backend, "float64")
    _, grads_again = pass_of(sg.GPT(DROPOUT, recompute=True), backend, "float64")
    assert np.abs(grads_again - grads).max() > 1e-3
