"""Training, generation and whole runs with the cupy backend, on a real or an emulated GPU."""

import importlib
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.generation import generate_batch
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import step_rng
from scratchgpt.optim import EMA, OPTIMIZERS, make_optimizer
from scratchgpt.training.step import StepResult, TrainingStep
from tests.support import gpu
from tests.support.slow import others_slow

STEPS = 10
PRECISIONS = ("float32", "tf32", "bf16", "float16")
EAGER_AND_GRAPH = (False, True)
# For the losses of ten steps, compared with float32 on the CPU. The weights themselves diverge sooner: AdamW
# divides each gradient by its own magnitude, so where it is nearly 0 the sign of a rounding error decides.
TOLERANCE = {"float32": 2e-5, "tf32": 3e-3, "bf16": 2e-2, "float16": 3e-3}
CONFIGS = {
    "plain": sg.GPTConfig(vocab_size=23, block_size=16, n_layer=2, n_head=2, n_embd=32),
    "dropout, odd sizes": sg.GPTConfig(
        vocab_size=23, block_size=16, n_layer=1, n_head=3, n_embd=27, n_inner=41, dropout=0.2, bias=False,
        tie_weights=False, activation="gelu_exact",
    ),
}  # fmt: skip
TEXT = np.random.default_rng(0).integers(0, 23, (STEPS, 3, 17))
TARGETS = TEXT[:, :, 1:].copy()
for _step in range(STEPS):
    TARGETS[_step, 2, 16 - _step :] = IGNORE_INDEX  # a different number of targets in each step


def train(
    backend: Backend, config: sg.GPTConfig, n_steps: int = STEPS
) -> tuple[list[StepResult], np.ndarray]:
    """Take some training steps; return their records and the final weights."""
    model = sg.GPT(config)
    params = model.init(1).map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), grad_clip=0.5)
    for i in range(n_steps):
        take_step(TEXT[i, :, :-1], TARGETS[i], 3e-3, step_rng(3, i))
    return take_step.read(), backend.to_host(params.flat)


@pytest.mark.parametrize(
    ("name", "precision", "graph"),
    others_slow(
        itertools.product(CONFIGS, PRECISIONS, EAGER_AND_GRAPH),
        [("plain", "float32", True), ("dropout, odd sizes", "bf16", False)],
    ),
)
def test_cupy_ten_steps_are_those_of_the_numpy_backend(name: str, precision: str, graph: bool) -> None:
    found, weights = train(gpu.backend(precision, graph), CONFIGS[name])
    expected, expected_weights = train(sg.get_backend("numpy"), CONFIGS[name])
    assert [step.lr for step in found] == [3e-3] * STEPS
    np.testing.assert_allclose(
        [step.loss for step in found], [step.loss for step in expected], atol=TOLERANCE[precision]
    )
    norms, expected_norms = ([step.grad_norm for step in steps] for steps in (found, expected))
    np.testing.assert_allclose(norms, expected_norms, rtol=5 * TOLERANCE[precision])
    assert weights.dtype == np.float32
    distance = np.linalg.norm(weights - expected_weights) / np.linalg.norm(expected_weights)
    assert distance < 10 * TOLERANCE[precision]


@pytest.mark.parametrize("precision", others_slow(PRECISIONS, ["bf16"]))
def test_cupy_a_graph_repeats_the_eager_steps_bit_for_bit(precision: str) -> None:
    for config in CONFIGS.values():
        eager, weights = train(gpu.backend(precision), config, n_steps=5)
        graph, graph_weights = train(gpu.backend(precision, graph=True), config, n_steps=5)
        assert eager == graph
        np.testing.assert_array_equal(weights, graph_weights)


@pytest.mark.parametrize("graph", others_slow(EAGER_AND_GRAPH, [True]), ids=["eager", "graph"])
def test_cupy_two_runs_are_equal_bit_for_bit(graph: bool) -> None:
    config = CONFIGS["dropout, odd sizes"]
    first, second = (train(gpu.backend("bf16", graph), config, n_steps=5) for _ in range(2))
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])


def test_cupy_batches_of_another_shape_are_recorded_by_themselves() -> None:
    backend, config = gpu.backend(graph=True), CONFIGS["plain"]
    model = sg.GPT(config)
    losses = []
    for each in (backend, sg.get_backend("numpy")):
        take_step = TrainingStep(model, sg.AdamW(model.init().map(each.to_device), backend=each), 1.0)
        for i in range(8):
            text = TEXT[i][: 2 + i % 2]
            take_step(text[:, :-1], text[:, 1:], 3e-3, step_rng(3, i))
        losses.append([step.loss for step in take_step.read()])
    np.testing.assert_allclose(losses[0], losses[1], atol=2e-5)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Return a context in which waiting for the device raises an error."""
    cupyx = importlib.import_module("cupyx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy calls it experimental
        with cupyx.allow_synchronize(False):
            yield


@pytest.mark.parametrize(
    ("precision", "graph"),
    others_slow(itertools.product(PRECISIONS, EAGER_AND_GRAPH), [("float32", False), ("bf16", True)]),
)
def test_cupy_a_step_waits_for_nothing(precision: str, graph: bool) -> None:
    backend, config = gpu.backend(precision, graph), CONFIGS["dropout, odd sizes"]
    model = sg.GPT(config)
    take_step = TrainingStep(model, sg.AdamW(model.init().map(backend.to_device), backend=backend), 1.0)
    with no_waiting():
        for i in range(5):
            take_step(TEXT[i, :, :-1], TEXT[i, :, 1:], 1e-3, step_rng(3, i))
    assert len(take_step.read()) == 5
    with no_waiting(), pytest.raises(RuntimeError):
        take_step.read()  # the check itself can fail


def test_cupy_an_overflow_of_float16_changes_no_weight_and_halves_the_scale() -> None:
    gpu.prepare()
    from scratchgpt.backends.cupy.backend import CupyBackend
    from scratchgpt.backends.cupy.device import find_device

    backend = CupyBackend(find_device(), "float16", False)
    model = sg.GPT(CONFIGS["plain"])
    params = model.init(1).map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
    backend._loss_scale[...] = 2.0**24
    before = backend.to_host(params.flat).copy()
    take_step(TEXT[0, :, :-1], TEXT[0, :, 1:], 1e-3, step_rng(3, 0))
    (taken,) = take_step.read()
    assert taken.grad_norm is None
    assert np.isfinite(taken.loss)
    np.testing.assert_array_equal(backend.to_host(params.flat), before)
    assert float(backend._loss_scale) == 2.0**23
    while taken.grad_norm is None:
        take_step(TEXT[0, :, :-1], TEXT[0, :, 1:], 1e-3, step_rng(3, 0))
        (taken,) = take_step.read()
    assert not np.array_equal(backend.to_host(params.flat), before)


def test_cupy_float16_runs_have_a_loss_scale_each_and_checkpoints_carry_it(tmp_path: Path) -> None:
    from scratchgpt.checkpoint import load_training_state, save_training_state

    first, second = gpu.backend("float16"), gpu.backend("float16")
    model = sg.GPT(CONFIGS["plain"])
    optimizers = [sg.AdamW(model.init(1).map(each.to_device), backend=each) for each in (first, second)]
    first.load_state({"loss_scale": 2.0**20, "n_good": 5})
    assert (first.state(), second.state()["loss_scale"]) == ({"loss_scale": 2.0**20, "n_good": 5}, 2.0**16)
    save_training_state(tmp_path / "last.safetensors", optimizers[0], {"step": 3})
    load_training_state(tmp_path / "last.safetensors", model, optimizers[1])
    assert second.state() == first.state()
    other = sg.AdamW(model.init(1))
    load_training_state(tmp_path / "last.safetensors", model, other)  # a backend without a scale
    assert other.backend.state() == {}


def test_cupy_adamw_by_hand_leaves_an_overflow_out_and_halves_the_scale() -> None:
    backend, model = gpu.backend("float16"), sg.GPT(CONFIGS["plain"])
    params = model.init(1).map(backend.to_device)
    before = backend.to_host(params.flat).copy()
    grads = params.map(lambda flat: flat * np.inf)
    sg.AdamW(params, backend=backend).step(grads)
    np.testing.assert_array_equal(backend.to_host(params.flat), before)
    assert backend.state()["loss_scale"] == 2.0**15


def test_cupy_adamw_says_where_the_weights_belong() -> None:
    with pytest.raises(sg.InputError, match=r"move it there: params\.map\(backend\.to_device\)"):
        sg.AdamW(sg.GPT(CONFIGS["plain"]).init(), backend=gpu.backend())


def test_cupy_more_unread_steps_than_there_are_places(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = gpu.backend()
    from scratchgpt.backends.cupy import losses

    monkeypatch.setattr(losses, "RING_CAPACITY", 3)
    found, _ = train(backend, CONFIGS["plain"], n_steps=8)
    monkeypatch.undo()
    expected, _ = train(backend, CONFIGS["plain"], n_steps=8)
    assert found == expected


def test_cupy_an_exploding_step_changes_no_weight() -> None:
    backend, model = gpu.backend(), sg.GPT(CONFIGS["plain"])
    params = model.init(1).map(backend.to_device)
    params["wte.weight"][0, 0] = np.inf
    before = backend.to_host(params.flat).copy()
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
    take_step(TEXT[0, :, :-1], TEXT[0, :, 1:], 1e-3, step_rng(3, 0))
    (taken,) = take_step.read()
    assert not np.isfinite(taken.grad_norm)
    np.testing.assert_array_equal(backend.to_host(params.flat), before)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_cupy_loss_and_gradients_through_the_public_calls(precision: str) -> None:
    backend, model = gpu.backend(precision), sg.GPT(CONFIGS["dropout, odd sizes"])
    params, x, y = model.init(2), TEXT[0, :, :-1], TEXT[0, :, 1:].copy()
    y[0, 3:7] = -100
    loss, grads = sg.loss_and_grads(model, params, x, y, backend=backend, rng=step_rng(1, 1))
    expected, expected_grads = sg.loss_and_grads(model, params, x, y, rng=step_rng(1, 1))
    tolerance = 1e-5 if precision == "float32" else 2e-2
    assert loss == pytest.approx(expected, abs=tolerance)
    for name, gradient in grads.map(backend.to_host).items():
        scale = np.abs(expected_grads[name]).max()
        np.testing.assert_allclose(gradient, expected_grads[name], atol=tolerance * scale, err_msg=name)
    assert sg.loss(model, params, x, y, backend=backend, rng=step_rng(1, 1)) == pytest.approx(loss, abs=1e-6)
    logits = backend.to_host(sg.logits(model, params, x, backend=backend))
    np.testing.assert_allclose(logits, sg.logits(model, params, x), atol=10 * tolerance)


def test_cupy_float16_gradients_come_without_the_loss_scale() -> None:
    backend, model = gpu.backend("float16"), sg.GPT(CONFIGS["plain"])
    params, x, y = model.init(2), TEXT[0, :, :-1], TEXT[0, :, 1:]
    _, grads = sg.loss_and_grads(model, params, x, y, backend=backend)
    _, expected = sg.loss_and_grads(model, params, x, y)
    scale = np.abs(expected.flat).max()
    np.testing.assert_allclose(backend.to_host(grads.flat), expected.flat, atol=5e-3 * scale)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": 0.9, "seed": 5},
        {"temperature": 1.0, "top_k": 4, "seed": 6},
    ],
)
def test_cupy_generates_what_numpy_generates(settings: dict[str, Any]) -> None:
    """Prompts have different lengths, and the texts outgrow block_size."""
    model = sg.GPT(CONFIGS["plain"])
    params, prompts = model.init(4), [[1, 2, 3], [4], list(range(16))]
    found, expected = (
        list(
            generate_batch(
                sg.BoundModel(model, params, backend),
                prompts,
                max_new_tokens=20,
                **{"temperature": 1.0, **settings},
            )
        )
        for backend in (gpu.backend(), sg.get_backend("numpy"))
    )
    assert found == expected


def test_cupy_generation_in_16_bits_scores_as_the_full_pass_does() -> None:
    backend, model = gpu.backend("bf16"), sg.GPT(CONFIGS["plain"])
    params, text = model.init(4), [1, 2, 3]
    for batch in generate_batch(
        sg.BoundModel(model, params, backend), [[1, 2, 3]], max_new_tokens=20, temperature=0.0
    ):
        logits = backend.to_host(sg.logits(model, params, np.array([text[-16:]]), backend=backend))[0, -1]
        assert logits[batch[0]] >= logits.max() - 2e-2
        text += batch


Command = Callable[..., Any]
SMALL = (
    "--model.n_layer", "1", "--model.n_head", "2", "--model.n_embd", "16", "--model.block_size", "8",
    "--training.batch_size", "4", "--training.eval_interval", "5", "--training.eval_tokens", "64",
    "--generation.max_new_tokens", "10", "--model.dropout", "0.1",
)  # fmt: skip


def test_cupy_runs_go_on_with_another_backend(command: Command, tmp_path: Path) -> None:
    gpu.prepare()
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 30)
    base = ("train.py", "--data", "text.txt", *SMALL)
    straight = command(*base, "--out", "straight", "--training.max_steps", "15")
    assert straight.code == 0, straight.err

    first = command(*base, "--out", "mixed", "--training.max_steps", "5", "--backend", "cupy")
    assert first.code == 0, first.err
    assert "backend cupy: " in first.out
    assert "precision float32; GEMM cuBLASLt" in first.out
    assert "CUDA graph off" in first.out
    assert "GPU memory: " in first.out
    resume = ("train.py", "--resume", "mixed")
    second = command(*resume, "--training.max_steps", "10", "--backend", "numpy")
    assert second.code == 0, second.err
    third = command(*resume, "--training.max_steps", "15", "--backend", "cupy", "--graph", "true")
    assert third.code == 0, third.err
    assert "CUDA graph on" in third.out

    losses = [
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("straight", "mixed")
    ]
    assert [record["step"] for record in losses[0]] == [record["step"] for record in losses[1]]
    assert abs(losses[0][0]["loss"] - losses[1][0]["loss"]) < 1e-5

    for backend, *options in (("cupy", "--precision", "bf16"), ("numpy",), ("reference",)):
        written = command("sample.py", "mixed", "--seed", "1", "--backend", backend, *options)
        assert written.code == 0, written.err
        assert len(written.out) > 5


@pytest.mark.slow
def test_cupy_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(command: Command, tmp_path: Path) -> None:
    gpu.prepare()
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 30)
    # A cosine schedule depends on the last step, so both runs use a constant rate.
    rates = ("--training.learning_rate", "0.001", "--training.min_learning_rate", "0.001")
    flat = (*rates, "--training.warmup_steps", "0")
    base = ("train.py", "--data", "text.txt", *SMALL, *flat, "--backend", "cupy", "--precision", "bf16")
    assert command(*base, "--out", "straight", "--training.max_steps", "10").code == 0
    assert command(*base, "--out", "parts", "--training.max_steps", "5").code == 0
    assert command("train.py", "--resume", "parts", "--training.max_steps", "10").code == 0
    first, second = ((tmp_path / run / "last.safetensors").read_bytes() for run in ("straight", "parts"))
    assert first == second


def test_cupy_without_memory_says_what_to_make_smaller(command: Command, tmp_path: Path) -> None:
    gpu.prepare()
    if gpu.is_real():
        pytest.skip("a real GPU has enough memory for this")
    from tests.gpu_emulation import memory

    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 30)
    memory.limit = memory.current + 1_000_000
    try:
        outcome = command(
            "train.py", "--data", "text.txt", *SMALL, "--backend", "cupy", "--training.batch_size", "900"
        )
    finally:
        memory.limit = None
    assert outcome.code == 2
    assert "out of memory" in outcome.err
    assert "--training.accumulate" in outcome.err and "--training.batch_size" in outcome.err


def train_with(
    name: str, backend: Backend, config: sg.GPTConfig, n_steps: int = STEPS
) -> tuple[list[StepResult], np.ndarray]:
    """Take some steps with an optimizer; return their records and the moving average of the weights."""
    model = sg.GPT(config)
    optimizer = make_optimizer(name, model.init(1).map(backend.to_device), backend)
    ema = EMA(optimizer.params, 0.5)
    take_step = TrainingStep(model, optimizer, grad_clip=0.5)
    for i in range(n_steps):
        take_step(TEXT[i, :, :-1], TARGETS[i], 1e-3, step_rng(3, i))
        ema.update()
    return take_step.read(), backend.to_host(ema.weights().flat)


@pytest.mark.parametrize(
    ("name", "precision", "graph"),
    others_slow(
        itertools.product(["lion", "muon"], ["float32", "tf32", "float16"], EAGER_AND_GRAPH),
        [("lion", "float32", False), ("muon", "float16", True)],
    ),
)
def test_cupy_other_optimizers_take_the_steps_of_the_numpy_backend(
    name: str, precision: str, graph: bool
) -> None:
    """Without biases: no loss depends on the key bias, so rounding alone would decide Lion's steps there."""
    config = CONFIGS["dropout, odd sizes"]
    found, mean = train_with(name, gpu.backend(precision, graph), config)
    expected, expected_mean = train_with(name, sg.get_backend("numpy"), config)
    np.testing.assert_allclose(
        [step.loss for step in found], [step.loss for step in expected], atol=TOLERANCE[precision]
    )
    distance = np.linalg.norm(mean - expected_mean) / np.linalg.norm(expected_mean)
    assert distance < 10 * TOLERANCE[precision]


@pytest.mark.parametrize("name", others_slow(OPTIMIZERS, ["muon"]))
def test_cupy_a_graph_repeats_every_optimizers_steps_bit_for_bit(name: str) -> None:
    config = CONFIGS["dropout, odd sizes"]
    eager, weights = train_with(name, gpu.backend("float16"), config, n_steps=5)
    graph, graph_weights = train_with(name, gpu.backend("float16", graph=True), config, n_steps=5)
    assert eager == graph
    np.testing.assert_array_equal(weights, graph_weights)


@pytest.mark.parametrize(
    ("name", "graph"), others_slow(itertools.product(OPTIMIZERS, EAGER_AND_GRAPH), [("muon", True)])
)
def test_cupy_no_optimizer_and_no_mean_of_weights_waits(name: str, graph: bool) -> None:
    backend, model = gpu.backend("float16", graph), sg.GPT(CONFIGS["plain"])
    optimizer = make_optimizer(name, model.init().map(backend.to_device), backend)
    take_step, ema = TrainingStep(model, optimizer, 1.0), EMA(optimizer.params)
    with no_waiting():
        for i in range(4):
            take_step(TEXT[i, :, :-1], TEXT[i, :, 1:], 1e-3, step_rng(3, i))
            ema.update()
        ema.weights()
    assert len(take_step.read()) == 4


@pytest.mark.parametrize(
    ("name", "graph"), others_slow(itertools.product(OPTIMIZERS, EAGER_AND_GRAPH), [("muon", True)])
)
def test_cupy_every_optimizer_leaves_an_overflow_out_and_halves_the_scale(name: str, graph: bool) -> None:
    backend, model = gpu.backend("float16", graph), sg.GPT(CONFIGS["plain"])
    optimizer = make_optimizer(name, model.init(1).map(backend.to_device), backend)
    take_step = TrainingStep(model, optimizer, 1.0)
    for _ in range(2):  # with a graph, the second step is captured
        take_step(TEXT[0, :, :-1], TEXT[0, :, 1:], 1e-3, step_rng(3, 0))
    backend.load_state({"loss_scale": 2.0**24, "n_good": 5})
    vectors = [optimizer.params, *optimizer.vectors.values()]
    before = [backend.to_host(vector.flat).copy() for vector in vectors]
    take_step(TEXT[0, :, :-1], TEXT[0, :, 1:], 1e-3, step_rng(3, 0))
    assert [taken.grad_norm is None for taken in take_step.read()] == [False, False, True]
    assert backend.state() == {"loss_scale": 2.0**23, "n_good": 0}
    for vector, expected in zip(vectors, before, strict=True):
        np.testing.assert_array_equal(backend.to_host(vector.flat), expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_cupy_states_of_every_optimizer_move_between_backends(name: str, tmp_path: Path) -> None:
    from scratchgpt.checkpoint import load_training_state, save_training_state

    backend, model = gpu.backend(), sg.GPT(CONFIGS["plain"])
    first, second = (
        make_optimizer(name, model.init(seed).map(each.to_device), each)
        for seed, each in enumerate((backend, sg.get_backend("numpy")))
    )
    first.step(first.params.map(lambda flat: flat + 1.0))
    mean, other_mean = EMA(first.params), EMA(second.params)
    mean.update()
    save_training_state(tmp_path / "s.safetensors", first, {}, mean)
    load_training_state(tmp_path / "s.safetensors", model, second, other_mean)
    for vector, other in zip(
        [first.params, *first.vectors.values(), mean.weights()],
        [second.params, *second.vectors.values(), other_mean.weights()],
        strict=True,
    ):
        np.testing.assert_array_equal(backend.to_host(vector.flat), other.flat)
