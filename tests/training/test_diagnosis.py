"""A step with NaN or inf: the layer that caused it is named, and the step changes nothing."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import quiet_overflow
from scratchgpt.ops.rng import step_rng
from scratchgpt.runs.record import RunRecord
from scratchgpt.training.diagnosis import first_not_finite
from scratchgpt.training.step import StepResult, TrainingStep
from tests.support import gpu
from tests.support.project import Outcome

CONFIG = sg.GPTConfig(vocab_size=13, block_size=8, n_layer=2, n_head=2, n_embd=8, dropout=0.1)
TEXT = np.random.default_rng(0).integers(0, 13, (6, 9))
X, Y = TEXT[:, :-1], TEXT[:, 1:]


def diagnose(model: sg.GPT, params: ParamVector, backend: Backend) -> str:
    bound = sg.BoundModel(model, params, backend)
    return first_not_finite(bound, X, Y, bound.dropout_streams(step_rng(1, 0), len(X)))


def alternating(shape: tuple[int, ...]) -> np.ndarray:
    """Return ones of both signs, so that sums of products overflow in both directions, or cancel."""
    return np.where(np.arange(np.prod(shape)) % 3, 1.0, -1.0).reshape(shape)


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("wte.weight", np.nan, "the weight wte.weight is not finite before the step: 104 of 104 values"),
        ("h.0.attn.c_attn.weight", 3e38, "the output of linear in h.0.attn.c_attn is not finite (its inputs"),
        ("h.0.attn.c_attn.weight", 1e30, "the output of attention after h.0.attn.c_attn is not finite"),
        ("h.1.attn.c_proj.bias", np.inf, "the weight h.1.attn.c_proj.bias is not finite before the step"),
        ("h.1.mlp.c_fc.weight", 3e38, "the output of linear in h.1.mlp.c_fc is not finite (its inputs"),
        ("h.1.ln_2.weight", 1e25, "every output is finite, but the gradient of h.1.mlp.c_fc.weight is not"),
        ("ln_f.weight", 2e37, "every gradient is finite, but the sum of their squares is not: that of "),
    ],
)
def test_the_first_place_is_named(
    backend: Backend, name: str, size: float, words: str, recompute: bool
) -> None:
    model = sg.GPT(CONFIG, recompute=recompute)
    params = model.init(1)
    params[name][...] = size * alternating(params[name].shape)
    before = params.copy()
    assert diagnose(model, params, backend).startswith(words)
    np.testing.assert_array_equal(params.flat, before.flat)


def test_a_sum_that_overflows_between_two_ops_is_named() -> None:
    model = sg.GPT(CONFIG)
    params = model.init(1)
    for name in ("h.0.attn.c_proj.bias", "h.0.mlp.c_proj.bias"):
        params[name][...] = 3e38  # each is finite, both together are not
    problem = diagnose(model, params, sg.get_backend())
    assert problem.startswith("the input of layernorm in h.1.ln_1 is not finite, a sum of finite outputs: ")


def test_an_untied_and_an_adaptive_head_are_named(backend: Backend) -> None:
    for options, name in (
        ({}, "lm_head"),
        ({"adaptive_cutoffs": (5, 9), "adaptive_factor": 2.0}, "lm_head.head"),
    ):
        model = sg.GPT(sg.GPTConfig(13, 8, 1, 2, 8, tie_weights=False, **options))
        params = model.init(1)
        params[f"{name}.weight"][...] = np.nan
        assert diagnose(model, params, backend).startswith(f"the weight {name}.weight is not finite")


def test_a_finite_step_is_reported_as_finite(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    assert diagnose(model, model.init(1), backend).startswith("everything is finite now, because later steps")


def test_only_a_step_that_is_not_finite_has_a_reason(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    params = model.init(1)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
    take_step(X, Y, 1e-3, step_rng(1, 0))
    params["h.1.mlp.c_fc.weight"][0, 0] = np.inf
    before = params.copy()
    with quiet_overflow():
        take_step(X, Y, 1e-3, step_rng(1, 1))
    good, bad = take_step.read()
    assert good.why_not_finite is None
    assert bad.why_not_finite is not None
    expected = "the weight h.1.mlp.c_fc.weight is not finite before the step: 1 of 256 values"
    assert bad.why_not_finite() == expected
    np.testing.assert_array_equal(params.flat, before.flat)


def test_all_unread_steps_are_returned_in_order() -> None:
    model = sg.GPT(CONFIG)
    take_step = TrainingStep(model, sg.AdamW(model.init(1)), 1.0)
    for i in range(300):
        take_step(X[:1, :1], Y[:1, :1], i * 1e-6, step_rng(1, i))
    assert [taken.lr for taken in take_step.read()] == [i * 1e-6 for i in range(300)]
    assert take_step.read() == []


def bad(number: int) -> StepResult:
    return StepResult(0.1, float("nan"), float("nan"), lambda: f"reason {number}")


GOOD = StepResult(0.1, 2.5, 1.0)


def test_a_skipped_step_is_counted_and_training_continues(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunRecord(tmp_path)
    assert run.log_steps(4, [GOOD, bad(2), GOOD._replace(loss=2.25), bad(4)], "skip") == 2.25
    assert run.skipped == 2
    assert run.log_steps(5, [bad(5)], "skip") == 2.25
    skipped = [record for record in run.entries if "skipped" in record]
    assert skipped == [
        {"step": step, "lr": 0.1, "skipped": i, "why": f"reason {step}"}
        for i, step in enumerate((2, 4, 5), start=1)
    ]
    assert json.dumps(run.entries, allow_nan=False)
    assert caplog.messages == [f"step {step} is skipped: reason {step}" for step in (2, 4, 5)]


def test_a_run_stops_if_it_is_not_told_to_skip_or_nothing_was_finite(tmp_path: Path) -> None:
    words = "the loss of step 2 is nan; expected a finite number. Cause: reason 2. The"
    with pytest.raises(sg.InputError, match=re.escape(words)):
        RunRecord(tmp_path).log_steps(2, [GOOD, bad(2)])
    with pytest.raises(sg.InputError, match="the loss of step 1 is nan"):
        RunRecord(tmp_path).log_steps(2, [bad(1), GOOD], "skip")


def test_a_gradient_that_overflowed_float16_does_not_stop_the_run(tmp_path: Path) -> None:
    run = RunRecord(tmp_path)
    assert run.log_steps(1, [GOOD._replace(grad_norm=None)]) == 2.5
    assert run.skipped == 0


def test_training_that_explodes_names_the_layer(command: Callable[..., Outcome]) -> None:
    Path("text.txt").write_text("to be or not to be " * 20, encoding="utf-8")
    done = command(
        "train.py", "--data", "text.txt", "--out", "run", "--model.block_size=8", "--model.n_layer=1",
        "--model.n_head=2", "--model.n_embd=8", "--training.learning_rate=1e30", "--training.batch_size=2",
        "--training.warmup_steps=0", "--training.log_interval=1", "--training.max_steps=9",
    )  # fmt: skip
    assert done.code == 2
    assert "Traceback" not in done.err
    found = re.search(r"of step (\d) is \S+; expected a finite number. Cause: (.*?)\. The files", done.err)
    assert found, done.err
    assert re.match(r"(the output of \w+ (in|after) [\w.]+|the input of|every output is) ", found[2])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_cupy_names_the_layer_too(precision: str) -> None:
    backend = gpu.backend(precision)
    model = sg.GPT(sg.GPTConfig(vocab_size=13, block_size=8, n_layer=2, n_head=2, n_embd=16))
    params = model.init(1)
    params["h.1.mlp.c_fc.weight"][...] = 3e38 * alternating((16, 64))
    params = params.map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
    take_step(X, Y, 1e-3, step_rng(1, 0))
    (taken,) = take_step.read()
    assert taken.why_not_finite is not None
    assert taken.why_not_finite().startswith(
        "the output of linear in h.1.mlp.c_fc is not finite (its inputs are"
    )
