"""The whole model: names, structure, causality, independence of passes, and that it learns."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.backends.base import blas_threads
from scratchgpt.gradcheck.model_cases import CONFIGS, awkward_params
from scratchgpt.gradcheck.op_cases import TARGETS, TOKENS
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.passes import logits, loss_and_grads

CONFIG = CONFIGS["tied"]


def test_names_and_shapes_are_those_of_gpt2() -> None:
    config = sg.GPTConfig(vocab_size=50257, block_size=1024, n_layer=1, n_head=12, n_embd=768)
    shapes = {param.name: param.shape for param in sg.GPT(config).params}
    assert shapes == {
        "wte.weight": (50257, 768),
        "wpe.weight": (1024, 768),
        "h.0.ln_1.weight": (768,),
        "h.0.ln_1.bias": (768,),
        "h.0.attn.c_attn.weight": (768, 2304),
        "h.0.attn.c_attn.bias": (2304,),
        "h.0.attn.c_proj.weight": (768, 768),
        "h.0.attn.c_proj.bias": (768,),
        "h.0.ln_2.weight": (768,),
        "h.0.ln_2.bias": (768,),
        "h.0.mlp.c_fc.weight": (768, 3072),
        "h.0.mlp.c_fc.bias": (3072,),
        "h.0.mlp.c_proj.weight": (3072, 768),
        "h.0.mlp.c_proj.bias": (768,),
        "ln_f.weight": (768,),
        "ln_f.bias": (768,),
    }


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (sg.GPTConfig(vocab_size=50257), 124_439_808),  # GPT-2's smallest release
        (sg.GPTConfig(34, 64, 1, 1, 4, tie_weights=False), 780),
        (sg.GPTConfig(34, 64, 1, 1, 4), 644),
    ],
)
def test_sizes(config: sg.GPTConfig, size: int) -> None:
    assert sum(param.size for param in sg.GPT(config).params) == size


def test_options_add_and_remove_parameters() -> None:
    def names(**options: object) -> set[str]:
        return {param.name for param in sg.GPT(dataclasses.replace(CONFIG, **options)).params}

    assert "lm_head.weight" in names(tie_weights=False)
    assert "lm_head.weight" not in names()
    assert not any(name.endswith(".bias") for name in names(bias=False))


def test_initial_values_are_gpt2s() -> None:
    config = sg.GPTConfig(vocab_size=500, block_size=64, n_layer=8, n_head=4, n_embd=128)
    params = sg.GPT(config).init(seed=0)
    assert params["wte.weight"].std() == pytest.approx(0.02, rel=0.03)
    assert params["h.3.mlp.c_fc.weight"].std() == pytest.approx(0.02, rel=0.03)
    for name in ("h.3.attn.c_proj.weight", "h.3.mlp.c_proj.weight"):
        assert params[name].std() == pytest.approx(0.02 / math.sqrt(16), rel=0.03)
    np.testing.assert_array_equal(params["h.3.ln_1.weight"], 1.0)
    np.testing.assert_array_equal(params["h.3.attn.c_attn.bias"], 0.0)


class LoggingOp:
    """Passes calls on to an op and writes each into a log."""

    def __init__(self, name: str, op: object, log: list[tuple[str, str]]) -> None:
        def logged(half: str):
            def call(*args, **kwargs):
                log.append((half, name))
                return getattr(op, half)(*args, **kwargs)

            return call

        self.forward, self.backward = logged("forward"), logged("backward")


def log_of(model: sg.GPT, backend: Backend) -> list[tuple[str, str]]:
    """Go forward and backward once; return the half and the name of every op, in the order of the calls."""
    log: list[tuple[str, str]] = []
    ops = dataclasses.replace(
        backend.ops, **{op_name: LoggingOp(op_name, op, log) for op_name, op in vars(backend.ops).items()}
    )
    params = awkward_params(model)
    ctx = Context(params, params.zeros_like(), ops, np.random.default_rng(0))
    _, saved = model.forward(ctx, TOKENS, TARGETS)
    model.backward(ctx, saved)
    return log


@pytest.mark.parametrize("name", CONFIGS)
def test_backward_is_the_mirror_of_forward(backend: Backend, name: str) -> None:
    log = log_of(sg.GPT(CONFIGS[name]), backend)
    forward = [op for half, op in log if half == "forward"]
    backward = [op for half, op in log if half == "backward"]
    assert len(forward) == 4 + 2 * 12  # embedding, dropout, ln_f and head; 12 ops a block
    assert backward == forward[::-1]
    assert log == [("forward", op) for op in forward] + [("backward", op) for op in backward]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_recomputed_block_runs_forward_again_just_before_backward(backend: Backend, name: str) -> None:
    plain = log_of(sg.GPT(CONFIGS[name]), backend)
    log = log_of(sg.GPT(CONFIGS[name], recompute=True), backend)
    turn = 4 + 2 * 12  # where backward begins: after embedding, dropout, two blocks of 12 ops, ln_f and head
    assert log[:turn] == plain[:turn]
    block = plain[2:14]
    mirror = [("backward", op) for _, op in reversed(block)]
    top, bottom = plain[turn : turn + 2], plain[-2:]  # head and ln_f; dropout and embedding
    assert log[turn:] == [*top, *block, *mirror, *block, *mirror, *bottom]
    # Without what is computed again it is the plain model's log, which is its own mirror.
    assert [*log[:turn], *top, *mirror, *mirror, *bottom] == plain


@pytest.mark.parametrize("name", CONFIGS)
def test_no_position_sees_a_later_token(backend: Backend, name: str) -> None:
    model = sg.GPT(CONFIGS[name])
    params = awkward_params(model)
    before = logits(model, params, TOKENS, backend=backend)
    T = TOKENS.shape[1]
    for t in range(T):
        changed = TOKENS.copy()
        changed[:, t] = (changed[:, t] + 1) % model.config.vocab_size
        after = logits(model, params, changed, backend=backend)
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        for later in range(t, T):
            assert (after[:, later] != before[:, later]).any(), f"position {later} does not see token {t}"


def test_rows_of_a_batch_are_independent(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    params = awkward_params(model)
    together = logits(model, params, TOKENS, backend=backend)
    for b in range(len(TOKENS)):
        alone = logits(model, params, TOKENS[b : b + 1], backend=backend)
        np.testing.assert_allclose(together[b], alone[0], rtol=1e-10, atol=1e-12)


def _gradients_of(model: sg.GPT, params: sg.ParamVector, backend: Backend, roll: int) -> np.ndarray:
    ctx = Context(params, params.zeros_like(), backend.ops)
    _, saved = model.forward(ctx, np.roll(TOKENS, roll, axis=1), TARGETS)
    model.backward(ctx, saved)
    return ctx.grads.flat


def test_two_passes_can_be_in_flight(backend: Backend) -> None:
    """Layers hold no arrays: forward twice, then backward in the wrong order, changes nothing."""
    model = sg.GPT(CONFIG)
    params = awkward_params(model)
    passes = []
    for roll in (0, 1):
        ctx = Context(params, params.zeros_like(), backend.ops)
        _, saved = model.forward(ctx, np.roll(TOKENS, roll, axis=1), TARGETS)
        passes.append((ctx, saved))
    for ctx, saved in passes:
        model.backward(ctx, saved)
    for roll, (ctx, _) in enumerate(passes):
        np.testing.assert_array_equal(ctx.grads.flat, _gradients_of(model, params, backend, roll))


def test_threads_can_share_a_model(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    params = awkward_params(model)
    rolls = [i % 5 for i in range(20)]
    alone = [_gradients_of(model, params, backend, roll) for roll in rolls]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda roll: _gradients_of(model, params, backend, roll), rolls)
        for expected, found in zip(alone, together, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_gradients_of_two_passes_add_up(backend: Backend) -> None:
    """Backward adds into ctx.grads, it never assigns: this is what gradient accumulation stands on."""
    model = sg.GPT(CONFIGS["untied"])
    params = awkward_params(model)
    ctx = Context(params, params.zeros_like(), backend.ops)
    for _ in range(2):
        _, saved = model.forward(ctx, TOKENS, TARGETS)
        model.backward(ctx, saved)
    once = _gradients_of(model, params, backend, 0)
    np.testing.assert_array_equal(ctx.grads.flat, once + once)


def test_a_pass_leaves_params_and_layers_as_they_are(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    params = awkward_params(model)
    before = params.flat.copy()
    loss_and_grads(model, params, TOKENS, TARGETS, backend=backend)
    np.testing.assert_array_equal(params.flat, before)

    def arrays(thing: object, seen: set[int]) -> bool:
        if id(thing) in seen:
            return False
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            return True
        children = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
        children += list(thing) if isinstance(thing, (list, tuple)) else []
        return any(arrays(child, seen) for child in children)

    assert not arrays(model, set())
    assert arrays(SimpleNamespace(hidden=[np.zeros(1)]), set())  # the search does find them


@pytest.mark.parametrize("tie_weights", [True, False])
def test_loss_starts_near_ln_v(backend: Backend, tie_weights: bool) -> None:
    config = sg.GPTConfig(65, 32, n_layer=4, n_head=4, n_embd=64, tie_weights=tie_weights)
    model = sg.GPT(config)
    tokens = np.random.default_rng(0).integers(0, 65, (8, 33))
    loss = sg.loss(model, model.init(), tokens[:, :-1], tokens[:, 1:], backend=backend)
    assert loss == pytest.approx(math.log(65), abs=0.05)


def test_one_batch_can_be_memorized(backend: Backend) -> None:
    config = sg.GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)
    model = sg.GPT(config)
    params = model.init()
    optimizer = sg.AdamW(params, lr=1e-2, weight_decay=0.0)
    tokens = np.random.default_rng(0).integers(0, 11, (4, 9))
    for _ in range(300):
        loss, grads = loss_and_grads(model, params, tokens[:, :-1], tokens[:, 1:], backend=backend)
        sg.clip_grad_norm(grads, 1.0)
        optimizer.step(grads)
    # Four texts with different first tokens can be recalled but for what follows equal beginnings.
    assert loss < 0.15
    best = logits(model, params, tokens[:, :-1], backend=backend).argmax(axis=-1)
    assert (best == tokens[:, 1:]).mean() > 0.9


def test_dropout_needs_an_rng_and_repeats_with_its_seed(backend: Backend) -> None:
    model = sg.GPT(CONFIGS["dropout, narrow MLP"])
    params = awkward_params(model)

    def loss(seed: int | None) -> float:
        rng = None if seed is None else np.random.default_rng(seed)
        return loss_and_grads(model, params, TOKENS, TARGETS, backend=backend, rng=rng)[0]

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)
    assert loss(None) == loss(None) == sg.loss(model, params, TOKENS, TARGETS, backend=backend)


def test_float32_stays_float32_and_agrees_with_float64(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    params = awkward_params(model)
    loss, grads = loss_and_grads(model, params, TOKENS, TARGETS, backend=backend)
    single = params.map(lambda flat: flat.astype(np.float32))
    loss32, grads32 = loss_and_grads(model, single, TOKENS, TARGETS, backend=backend)
    assert grads32.flat.dtype == np.float32
    assert logits(model, single, TOKENS, backend=backend).dtype == np.float32
    assert loss32 == pytest.approx(loss, rel=1e-5)
    assert np.linalg.norm(grads32.flat - grads.flat) < 1e-5 * np.linalg.norm(grads.flat)


def test_evaluation_contexts_need_no_gradients(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    ctx = Context(awkward_params(model), NO_GRADS, backend.ops)
    assert model.logits(ctx, TOKENS).shape == (3, 5, 11)
    _, saved = model.forward(ctx, TOKENS, TARGETS)
    assert saved[-1] is None  # the head keeps nothing for a backward that will not come
    with pytest.raises(TypeError, match=r"backward of 'wte.weight' ran in a pass without gradients"):
        ctx.grads.add(model.embedding.wte, np.zeros(()))


@pytest.mark.parametrize(
    ("tokens", "targets", "words"),
    [
        (TOKENS[0], TARGETS[0], "tokens has shape \\(5,\\)"),
        (TOKENS.astype(float), TARGETS, "type float64"),
        (np.full((3, 9), 1), np.full((3, 9), 1), "9 positions; expected 1 to block_size = 8"),
        (TOKENS.clip(max=10) + (TOKENS == 4) * 7, TARGETS, r"token at \[2, 3\] is 11; .* vocab_size = 11"),
        (TOKENS - (TOKENS == 4) * 5, TARGETS, r"token at \[2, 3\] is -1"),
        (TOKENS, TARGETS[:2], r"targets has shape \(2, 5\); expected the shape of tokens, \(3, 5\)"),
        (TOKENS, np.full_like(TARGETS, -100), "all 15 targets are -100"),
        (TOKENS, np.where(TARGETS == 8, 11, TARGETS), r"target at \[2, 4\] is 11"),
    ],
)
def test_bad_tokens_are_named(tokens: np.ndarray, targets: np.ndarray, words: str) -> None:
    model = sg.GPT(CONFIG)
    with pytest.raises(sg.InputError, match=words):
        sg.loss_and_grads(model, awkward_params(model), tokens, targets)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_embd": 30}, "n_embd is 30 and n_head is 4; n_head must divide n_embd"),
        ({"n_layer": 0}, "n_layer is 0"),
        ({"n_head": 2.0}, "n_head is 2.0"),
        ({"n_inner": -3}, "n_inner is -3"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": math.nan}, "dropout is nan"),
        ({"activation": "relu"}, "activation is 'relu'; expected gelu_tanh or gelu_exact"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon is 0.0"),
    ],
)
def test_bad_shapes_are_named(options: dict, words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        dataclasses.replace(CONFIG, **options)


def test_unknown_model_options_are_refused_with_the_nearest() -> None:
    with pytest.raises(sg.InputError, match=r"'model\.n_layers'; did you mean 'model\.n_layer'"):
        sg.GPTConfig.from_dict({"vocab_size": 3, "n_layers": 2})
    with pytest.raises(sg.InputError, match="vocab_size is missing"):
        sg.GPTConfig.from_dict({"n_layer": 2})


def test_unknown_and_missing_backends_are_named() -> None:
    with pytest.raises(sg.InputError, match="backend is 'torch'; expected one of reference, numpy, cupy"):
        sg.get_backend("torch")
    with pytest.raises(sg.InputError, match=r"precision is bf16, but the numpy backend .*backend cupy"):
        sg.get_backend("numpy", precision="bf16")
    with pytest.raises(sg.InputError, match="graph is true, but the reference backend has no"):
        sg.get_backend("reference", graph=True)
    with pytest.raises(sg.InputError, match="device is 1, but the numpy backend has no"):
        sg.get_backend("numpy", device=1)
    with pytest.raises(sg.InputError, match="device is '0'; expected the index of a GPU"):
        sg.get_backend("cupy", device="0")
    with pytest.raises(sg.InputError, match=r"threads is 4, but the cupy backend .* reference or numpy"):
        sg.get_backend("cupy", threads=4)
    with pytest.raises(sg.InputError, match="threads is 0"):
        sg.get_backend("numpy", threads=0)


def threads_of_blas() -> set[int]:
    """Return how many threads each BLAS library uses now; skips where threadpoolctl knows none."""
    found = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    if not found:
        pytest.skip("threadpoolctl knows no BLAS here (Apple's Accelerate, for one)")
    return found


def test_threads_limit_blas_inside_a_pass_and_no_longer() -> None:
    before = threads_of_blas()
    for name, parallel, inside in (("reference", True, 2), ("numpy", False, 2), ("numpy", True, 1)):
        with sg.get_backend(name, threads=2).active(parallel):
            assert threads_of_blas() == {inside}
        assert threads_of_blas() == before


def test_limits_of_threads_nest() -> None:
    before = threads_of_blas()
    with blas_threads(2):
        for inside in (1, 2, 3):
            with blas_threads(inside):
                assert threads_of_blas() == {inside}
            assert threads_of_blas() == {2}
    assert threads_of_blas() == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_limit_of_threads_ends_with_an_error(error: type[BaseException]) -> None:
    before = threads_of_blas()
    for threads in (1, 2):
        with blas_threads(3 - threads):
            with pytest.raises(error, match="in the middle"), blas_threads(threads):
                raise error("in the middle")
            assert threads_of_blas() == {3 - threads}
        with pytest.raises(error, match="in the middle"), blas_threads(3 - threads), blas_threads(threads):
            raise error("in the middle")
        assert threads_of_blas() == before
