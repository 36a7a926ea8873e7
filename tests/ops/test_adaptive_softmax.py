"""The adaptive softmax against its definition, one target at a time, and in training and generation."""

import bisect
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.backends.numpy import workers
from scratchgpt.checkpoint import load_training_state, save_training_state
from scratchgpt.data import Part, Windows
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.generation import generate_tokens
from scratchgpt.generation.decoder import Decoder
from scratchgpt.gradcheck import check, check_model
from scratchgpt.gradcheck.model_cases import ADAPTIVE_CONFIGS, awkward_params
from scratchgpt.gradcheck.op_cases import TARGETS, TOKENS
from scratchgpt.nn import model as model_module
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.layers import AdaptiveHead, adaptive_head
from scratchgpt.ops import adaptive_softmax
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import step_rng
from tests.backends.cupy.test_training import PRECISIONS, STEPS, TOLERANCE, train
from tests.gradcheck.test_faults import patched_module
from tests.nn.test_kv_cache import assert_same_as_full
from tests.nn.test_model import log_of
from tests.support import gpu
from tests.support.faults import ADAPTIVE_FAULTS, Fault

RNG = np.random.default_rng(0)
THREE = ADAPTIVE_CONFIGS["adaptive head, three tails"]
LARGER = sg.GPTConfig(65, 32, 2, 2, 32, dropout=0.1, tie_weights=False, adaptive_cutoffs=(20, 40, 60))


def model_of(config: sg.GPTConfig) -> tuple[sg.GPT, sg.ParamVector]:
    model = sg.GPT(config)
    return model, awkward_params(model)


def log_p_by_hand(params: sg.ParamVector, cutoffs: tuple[int, ...], x: np.ndarray, token: int) -> float:
    """Return log p(token | x) for one row x (C,)."""

    def log_softmax(logits: np.ndarray, entry: int) -> float:
        return logits[entry] - math.log(sum(math.exp(z) for z in logits))

    head = params["lm_head.head.weight"] @ x
    if token < cutoffs[0]:
        return log_softmax(head, token)
    tail = bisect.bisect(cutoffs, token) - 1
    logits = params[f"lm_head.tail.{tail}.weight"] @ (x @ params[f"lm_head.tail.{tail}.proj.weight"])
    return log_softmax(head, cutoffs[0] + tail) + log_softmax(logits, token - cutoffs[tail])


def assert_follows_the_definition(config: sg.GPTConfig, backend: Backend) -> None:
    """Compare log p of every token and the loss with the definition; check gradients numerically."""
    model, params = model_of(config)
    ctx = Context(params, NO_GRADS, backend.ops)
    x, _ = model.features(ctx, TOKENS)
    expected = [
        [[log_p_by_hand(params, config.adaptive_cutoffs, row, token) for token in range(11)] for row in text]
        for text in x
    ]
    found = sg.logits(model, params, TOKENS, backend=backend)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    counted = [(b, t) for b, t in np.ndindex(TARGETS.shape) if TARGETS[b, t] != IGNORE_INDEX]
    mean = -sum(expected[b][t][TARGETS[b, t]] for b, t in counted) / len(counted)
    assert sg.loss(model, params, TOKENS, TARGETS, backend=backend) == pytest.approx(mean, rel=1e-12)
    results = list(check_model(backend, "adaptive", model))
    assert [result.tensor for result in results] == [param.name for param in model.params]
    for result in results:
        assert result.passed, result


@pytest.mark.parametrize("name", ADAPTIVE_CONFIGS)
def test_log_probabilities_loss_and_gradients(backend: Backend, name: str) -> None:
    assert_follows_the_definition(ADAPTIVE_CONFIGS[name], backend)


@pytest.mark.parametrize("name", ADAPTIVE_CONFIGS)
def test_every_element_of_the_heads_gradient(backend: Backend, name: str) -> None:
    head = AdaptiveHead(ADAPTIVE_CONFIGS[name])
    names = {param.name.replace(".", "_"): param for param in head.params}

    def forward(x, **weights):
        params = sg.ParamVector.initial(head.params, 0, "float64")
        for key, value in weights.items():
            params[names[key]][...] = value
        ctx = Context(params, params.zeros_like(), backend.ops)
        loss, saved = head.forward(ctx, x, TARGETS, 17)
        return loss, (ctx, saved)

    def backward(saved, dloss):
        ctx, saved_head = saved
        dx = head.backward(ctx, saved_head)
        return tuple(dloss * each for each in (dx, *(ctx.grads[param] for param in head.params)))

    weights = {key: RNG.standard_normal(param.shape) for key, param in names.items()}
    results = check(forward, backward, {"x": RNG.standard_normal((3, 5, 28)), **weights})
    assert len(results) == 1 + len(names)
    for result in results:
        assert result.passed, result


@pytest.mark.parametrize("fault", ADAPTIVE_FAULTS, ids=[fault.id for fault in ADAPTIVE_FAULTS])
def test_a_planted_mistake_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, IndexError)):
        assert_correct_with(fault.module, fault.old, fault.new, monkeypatch)


@pytest.mark.parametrize("module", ["ops.adaptive_softmax", "nn.layers.adaptive_head"])
def test_the_correct_head_passes_the_same_check(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"ops.adaptive_softmax": "def assign(", "nn.layers.adaptive_head": "def __init__(self, config"}[
        module
    ]
    assert_correct_with(module, old, old.replace("(", "( ", 1), monkeypatch)


def assert_correct_with(module: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the head with a patch in the layer or in its op, for a whole batch and for micro-batches."""
    patched = patched_module(f"scratchgpt.{module}", old, new)
    if module == "nn.layers.adaptive_head":
        monkeypatch.setattr(model_module, "AdaptiveHead", patched.AdaptiveHead)
    else:
        monkeypatch.setattr(adaptive_head, "adaptive_softmax", patched)
    for config in ADAPTIVE_CONFIGS.values():
        assert_follows_the_definition(config, sg.get_backend("reference"))
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)
    assert_follows_the_definition(THREE, sg.get_backend("numpy"))


@given(data=st.data())
def test_every_target_belongs_to_the_head_or_to_one_tail(data: st.DataObject) -> None:
    cutoffs = sorted(data.draw(st.sets(st.integers(1, 30), min_size=2, max_size=5)))
    ids = st.just(IGNORE_INDEX) | st.integers(0, cutoffs[-1] - 1)
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 6)))
    flat = data.draw(st.lists(ids, min_size=math.prod(shape), max_size=math.prod(shape)))
    targets = np.array(flat).reshape(shape)
    head_targets, tails = adaptive_softmax.assign(targets, cutoffs)
    assert head_targets.shape == shape
    found = np.where(head_targets < cutoffs[0], head_targets, IGNORE_INDEX - 1).reshape(-1)
    for i, (tail, first) in enumerate(zip(tails, cutoffs, strict=False)):
        assert tail.rows.size >= 1  # no op sees an empty array
        counted = tail.targets != IGNORE_INDEX
        assert counted.all() or tail.rows.tolist() == [0]
        rows = tail.rows[counted]
        assert (head_targets.reshape(-1)[rows] == cutoffs[0] + i).all()
        assert (found[rows] == IGNORE_INDEX - 1).all()
        found[rows] = tail.targets[counted] + first
    np.testing.assert_array_equal(found.reshape(shape), targets)


@given(data=st.data())
def test_probabilities_add_up_to_1(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    scale = data.draw(st.sampled_from([0.1, 1.0, 1000.0]))
    head, *tails = (scale * RNG.standard_normal((2, size)) for size in sizes)
    head = np.concatenate([head, scale * RNG.standard_normal((2, len(tails)))], axis=-1)
    log_probs = adaptive_softmax.log_probs(head, tails)
    assert log_probs.shape == (2, sum(sizes))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1.0, rtol=1e-11)


def test_names_and_shapes() -> None:
    config = sg.GPTConfig(100, 8, 1, 2, 32, tie_weights=False, adaptive_cutoffs=(10, 40, 90))
    shapes = {param.name: param.shape for param in AdaptiveHead(config).params}
    assert shapes == {
        "lm_head.head.weight": (13, 32),
        "lm_head.tail.0.proj.weight": (32, 8),
        "lm_head.tail.0.weight": (30, 8),
        "lm_head.tail.1.proj.weight": (32, 2),
        "lm_head.tail.1.weight": (50, 2),
        "lm_head.tail.2.proj.weight": (32, 1),  # 32 / 4**3 is less than 1
        "lm_head.tail.2.weight": (10, 1),
    }


def test_a_tail_without_targets_and_an_ignored_row_get_zero_gradients(backend: Backend) -> None:
    head = AdaptiveHead(THREE)
    params = sg.ParamVector.initial(head.params, 0, "float64")
    x, targets = RNG.standard_normal((2, 3, 28)), np.array([[0, 3, IGNORE_INDEX], [1, IGNORE_INDEX, 4]])
    ctx = Context(params, params.map(lambda flat: np.full_like(flat, 7.0)), backend.ops)
    _, saved = head.forward(ctx, x, targets, None)
    dx = head.backward(ctx, saved)
    for tail, is_used in enumerate((True, False, False)):
        for name in (f"lm_head.tail.{tail}.proj.weight", f"lm_head.tail.{tail}.weight"):
            assert (ctx.grads[name] != 7.0).any() == is_used, name
    np.testing.assert_array_equal((dx == 0.0).all(axis=-1), targets == IGNORE_INDEX)


def test_it_refuses_to_average_nothing(backend: Backend) -> None:
    model, params = model_of(THREE)
    with pytest.raises(ValueError, match="all 15 targets are -100"):
        model.forward(Context(params, NO_GRADS, backend.ops), TOKENS, np.full_like(TARGETS, IGNORE_INDEX))


def test_micro_batches_agree_with_the_whole_batch_even_if_each_lacks_targets_of_some_tail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)
    model, params = model_of(THREE)
    targets = np.array([[0, 1, 0, 1, IGNORE_INDEX], [3, 3, 2, 0, 4], [5, 10, 9, 7, 7]])
    for rows in itertools.permutations(range(3)):
        found, expected = (
            sg.loss_and_grads(model, params, TOKENS, targets[list(rows)], backend=backend, rng=step_rng(1, 1))
            for backend in (sg.get_backend("numpy"), sg.get_backend("reference"))
        )
        assert found[0] == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(found[1].flat, expected[1].flat, rtol=1e-8, atol=1e-12)


def curve(threads: int) -> tuple[list[float], np.ndarray]:
    model = sg.GPT(LARGER)
    params = model.init()
    optimizer = sg.AdamW(params, lr=1e-2)
    tokens = np.random.default_rng(0).integers(0, 65, (7, 33))
    tokens[0] %= 20  # the first micro-batch has no target in any tail
    losses = []
    for step in range(5):
        loss, grads = sg.loss_and_grads(
            model,
            params,
            tokens[:, :-1],
            tokens[:, 1:],
            backend=sg.get_backend("numpy", threads=threads),
            rng=step_rng(0, step),
        )
        optimizer.step(grads)
        losses.append(loss)
    return losses, params.flat


def test_weights_are_bit_identical_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)
    monkeypatch.setattr(workers, "TOKENS_PER_MICRO_BATCH", 32)  # one micro-batch per row
    losses, weights = curve(1)
    assert losses[-1] < losses[0] - 0.2
    more_losses, more_weights = curve(2)
    assert more_losses == losses
    np.testing.assert_array_equal(more_weights, weights)


@pytest.mark.parametrize("name", ADAPTIVE_CONFIGS)
def test_backward_is_the_mirror_of_forward(backend: Backend, name: str) -> None:
    config = ADAPTIVE_CONFIGS[name]
    log = log_of(sg.GPT(config), backend)
    forward = [op for half, op in log if half == "forward"]
    assert forward[-2 * len(config.adaptive_cutoffs) - 1 :] == [
        "linear_cross_entropy",
        *["linear", "linear_cross_entropy"] * len(config.adaptive_cutoffs),
    ]
    mirror = [("backward", op) for op in reversed(forward)]
    assert log == [("forward", op) for op in forward] + mirror


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cached_step_equals_the_full_forward(backend: Backend, dtype: str) -> None:
    model, params = model_of(THREE)
    params = params.map(lambda flat: flat.astype(dtype))
    decoder = Decoder(sg.BoundModel(model, params, backend), [[3, 1], [7]])
    for token in range(9):  # outgrows the block of 8
        assert_same_as_full(decoder, model, params, backend, dtype)
        decoder.step([token, 10 - token])


def test_greedy_generation_takes_the_likeliest_token(backend: Backend) -> None:
    model, params = model_of(THREE)
    found = list(
        generate_tokens(sg.BoundModel(model, params, backend), [4], max_new_tokens=6, temperature=0.0)
    )
    text = [4]
    for _ in range(6):
        scores = sg.logits(model, params, np.array([text]), backend=backend)[0, -1]
        text.append(int(np.argmax(scores)))
    assert found == text[1:]
    assert any(token >= THREE.adaptive_cutoffs[0] for token in found)  # not only tokens of the head


def test_evaluation_is_the_mean_of_minus_log_p(backend: Backend) -> None:
    model, params = model_of(THREE)
    tokens = RNG.integers(0, 11, 17)
    windows = Windows(Part(tokens, np.array([17])), 8)
    losses = []
    for start in (0, 8):
        log_probs = sg.logits(model, params, tokens[None, start : start + 8], backend=backend)[0]
        losses += [-log_probs[t, tokens[start + t + 1]] for t in range(8)]
    found = text_loss(sg.BoundModel(model, params, backend), windows, batch_size=2).loss
    assert found == pytest.approx(np.mean(losses), rel=1e-12)


def test_a_checkpoint_comes_back_exactly(tmp_path: Path) -> None:
    model = sg.GPT(THREE)
    optimizer, other = sg.AdamW(model.init(seed=4)), sg.AdamW(model.init(seed=5))
    optimizer.step(optimizer.params.map(np.sin))
    save_training_state(tmp_path / "s.safetensors", optimizer, {"step": 1})
    load_training_state(tmp_path / "s.safetensors", model, other)
    for ours, theirs in ((other.params, optimizer.params), (other.m, optimizer.m), (other.v, optimizer.v)):
        np.testing.assert_array_equal(ours.flat, theirs.flat)


def test_a_run_trains_resumes_and_writes(command, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 30)
    small = (
        "--model.n_layer", "1", "--model.n_head", "2", "--model.n_embd", "16", "--model.block_size", "8",
        "--training.batch_size", "4", "--generation.max_new_tokens", "10",
        "--model.tie_weights", "false", "--model.adaptive_cutoffs", "[9,18]",
    )  # fmt: skip
    first = command("train.py", "--data", "text.txt", "--out", "run", "--training.max_steps", "3", *small)
    assert first.code == 0, first.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["adaptive_cutoffs"] == [9, 18]
    assert sg.load(tmp_path / "run").model.config.adaptive_cutoffs == (9, 18)
    assert command("train.py", "--resume", "run", "--training.max_steps", "6").code == 0
    refused = command("train.py", "--resume", "run", "--model.adaptive_cutoffs", "[9,19]")
    assert refused.code == 2
    assert "model.adaptive_cutoffs is (9, 19); expected (9, 18)" in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptive_cutoffs": (9, 4)}, r"adaptive_cutoffs is \[9, 4\]; expected at least .* ascending order"),
        ({"adaptive_cutoffs": (4, 4)}, r"adaptive_cutoffs is \[4, 4\]"),
        ({"adaptive_cutoffs": (0, 4)}, "above 0"),
        ({"adaptive_cutoffs": (4, 11)}, "below vocab_size = 11"),
        ({"adaptive_cutoffs": []}, "at least one token id"),
        ({"adaptive_cutoffs": 4}, "adaptive_cutoffs is 4; expected a list of whole numbers or null"),
        ({"adaptive_cutoffs": "4"}, "adaptive_cutoffs is '4'; expected a list"),
        ({"adaptive_cutoffs": [4.0]}, r"adaptive_cutoffs is \[4.0\]; expected a list"),
        ({"adaptive_cutoffs": [True, 4]}, r"adaptive_cutoffs is \[True, 4\]; expected a list"),
        ({"adaptive_cutoffs": (4,), "tie_weights": True}, "tie_weights is true; set tie_weights to false"),
        ({"adaptive_factor": 0.5}, "adaptive_factor is 0.5; expected a number of at least 1"),
    ],
)
def test_invalid_settings_are_refused_with_a_clear_message(options: dict, message: str) -> None:
    with pytest.raises(sg.InputError, match=message):
        sg.GPTConfig(11, 8, 1, 2, 8, **{"tie_weights": False, **options})


def test_an_old_config_has_an_ordinary_softmax_and_a_list_becomes_a_tuple() -> None:
    old = {"vocab_size": 11, "n_layer": 1, "n_head": 2, "n_embd": 8, "tie_weights": False}
    assert sg.GPTConfig.from_dict(old).adaptive_cutoffs is None
    config = sg.GPTConfig.from_dict({**old, "adaptive_cutoffs": [2, np.int64(5)]})
    assert config.adaptive_cutoffs == (2, 5)
    assert hash(config) == hash(sg.GPTConfig.from_dict({**old, "adaptive_cutoffs": (2, 5)}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAPTIVE_CONFIGS)
def test_cupy_log_probabilities_and_gradients(name: str) -> None:
    backend, (model, params) = gpu.backend(), model_of(ADAPTIVE_CONFIGS[name])
    found = backend.to_host(sg.logits(model, params, TOKENS, backend=backend))
    np.testing.assert_allclose(found, sg.logits(model, params, TOKENS), rtol=1e-10, atol=1e-10)
    for result in check_model(backend, name, model):
        assert result.passed, result


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_cupy_takes_the_same_ten_steps_as_the_numpy_backend(precision: str) -> None:
    config = sg.GPTConfig(23, 16, 1, 3, 27, dropout=0.2, tie_weights=False, adaptive_cutoffs=(5, 21))
    found, _ = train(gpu.backend(precision), config)
    expected, _ = train(sg.get_backend("numpy"), config)
    assert len(found) == STEPS
    np.testing.assert_allclose(
        [step.loss for step in found], [step.loss for step in expected], atol=TOLERANCE[precision]
    )
    np.testing.assert_allclose(
        [step.grad_norm for step in found],
        [step.grad_norm for step in expected],
        rtol=5 * TOLERANCE[precision],
    )


def test_cupy_generates_what_numpy_generates() -> None:
    model, params = model_of(THREE)
    found, expected = (
        list(
            generate_tokens(
                sg.BoundModel(model, params, backend), [4], max_new_tokens=12, temperature=0.9, seed=5
            )
        )
        for backend in (gpu.backend(), sg.get_backend("numpy"))
    )
    assert found == expected


@pytest.mark.peers
@pytest.mark.parametrize("cutoffs", [(4,), (2, 5, 7)])
def test_pytorchs_adaptive_softmax_agrees(backend: Backend, cutoffs: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
    head = AdaptiveHead(sg.GPTConfig(11, 8, 1, 4, 64, tie_weights=False, adaptive_cutoffs=cutoffs))
    params = sg.ParamVector.initial(head.params, 0, "float64").map(lambda flat: 20.0 * flat)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(64, 11, list(cutoffs), div_value=4.0).double()
    their_params = {"lm_head.head.weight": theirs.head.weight}
    for i, (proj, unembedding) in enumerate(theirs.tail):
        their_params[f"lm_head.tail.{i}.proj.weight"] = proj.weight
        their_params[f"lm_head.tail.{i}.weight"] = unembedding.weight
    assert set(their_params) == set(params)

    def as_theirs(name: str, values: np.ndarray) -> np.ndarray:
        return values.T if name.endswith("proj.weight") else values  # a torch Linear is (out, in)

    for name, theirs_of_it in their_params.items():
        theirs_of_it.data = torch.tensor(as_theirs(name, params[name]).copy())
    x, targets = RNG.standard_normal((3, 5, 64)), TARGETS
    their_x = torch.tensor(x, requires_grad=True)
    counted = torch.tensor(targets != IGNORE_INDEX)
    _, their_loss = theirs(their_x[counted], torch.tensor(targets)[counted])
    their_loss.backward()

    ctx = Context(params, params.zeros_like(), backend.ops)
    loss, saved = head.forward(ctx, x, targets, None)
    assert float(loss) == pytest.approx(their_loss.item(), rel=1e-12)
    np.testing.assert_allclose(
        head.logits(ctx, x),
        theirs.log_prob(their_x.reshape(15, 64)).detach().numpy().reshape(3, 5, 11),
        rtol=1e-11,
        atol=1e-12,  # log-probabilities near 0
    )
    np.testing.assert_allclose(head.backward(ctx, saved), their_x.grad.numpy(), rtol=1e-10, atol=1e-14)
    for name, theirs_of_it in their_params.items():
        their_grad = torch.zeros_like(theirs_of_it) if theirs_of_it.grad is None else theirs_of_it.grad
        np.testing.assert_allclose(
            as_theirs(name, ctx.grads[name]), their_grad.numpy(), rtol=1e-10, atol=1e-14, err_msg=name
        )
