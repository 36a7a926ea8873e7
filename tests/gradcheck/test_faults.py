"""Check the gradient checks: they must catch every planted mistake, and pass correct code."""

import dataclasses
import importlib
import importlib.util
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import scratchgpt as sg
from scratchgpt.backends import Backend, reference
from scratchgpt.backends.numpy import adamw as faster_formula
from scratchgpt.backends.numpy import workers
from scratchgpt.gradcheck import Result, check, check_model
from scratchgpt.gradcheck.model_cases import CONFIGS
from scratchgpt.gradcheck.op_cases import op_cases
from scratchgpt.nn import bound_model, layers, model
from scratchgpt.ops.updates import adamw as formula
from scratchgpt.optim import adamw as optimizer
from tests.optim.test_optim import assert_follows_the_definition
from tests.support.faults import ADAMW_FAULTS, MODEL_FAULTS, OP_FAULTS, Fault


def patched_module(name: str, old: str, new: str) -> types.ModuleType:
    """Execute a module's source with one patch, as a new module; the real one stays unchanged."""
    real = importlib.import_module(name)
    source = Path(real.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{name}: {old!r} occurs {source.count(old)} times"
    module = types.ModuleType(f"{name}_patched")
    exec(compile(source.replace(old, new), f"<{name}, patched>", "exec"), vars(module))
    return module


def ids(faults: list[Fault]) -> list[str]:
    return [f"{fault.id}-{fault.module}" for fault in faults]


def results_of_op(name: str, op: object) -> Iterator[Result]:
    """Check the textbook's ops with one of them replaced by `op`; yield the results of that one."""
    inside_others = name in ("softmax", "cross_entropy")
    ops = reference.OPS if inside_others else dataclasses.replace(reference.OPS, **{name: op})
    cases = [case for case in op_cases(ops) if case.op.split(",")[0] == name]
    assert cases
    for case in cases:
        pair = (op.forward, op.backward) if inside_others else (case.forward, case.backward)
        yield from check(*pair, case.inputs, name=case.op)


def test_the_bank_is_large_and_its_ids_are_unique() -> None:
    bank = OP_FAULTS + MODEL_FAULTS + ADAMW_FAULTS
    assert len(OP_FAULTS + MODEL_FAULTS) >= 25
    assert len({fault.id for fault in bank}) == len(bank)


@pytest.mark.parametrize("name", sorted({fault.module for fault in OP_FAULTS}))
def test_a_correct_op_passes_the_same_check(name: str) -> None:
    """Patching itself breaks nothing: with a patch that only adds a space, every check passes."""
    op = patched_module(f"scratchgpt.ops.{name}", "def backward(", "def backward( ")
    assert all(result.passed for result in results_of_op(name, op))


@pytest.mark.parametrize("fault", OP_FAULTS, ids=ids(OP_FAULTS))
def test_a_wrong_op_is_caught(fault: Fault) -> None:
    op = patched_module(f"scratchgpt.ops.{fault.module}", fault.old, fault.new)
    assert not all(result.passed for result in results_of_op(fault.module, op)), fault.mistake


@pytest.mark.parametrize("fault", MODEL_FAULTS, ids=ids(MODEL_FAULTS))
def test_a_wrong_layer_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    module = patched_module(f"scratchgpt.{fault.module}", fault.old, fault.new)
    gpt = model.GPT
    if fault.module == "nn.model":
        gpt = module.GPT
    elif fault.module == "nn.accumulation":
        monkeypatch.setattr(bound_model, "GradientAccumulator", module.GradientAccumulator)
        monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)  # several micro-batches
    else:
        class_name = next(
            name for name in layers.__all__ if getattr(layers, name).__module__.endswith(fault.module)
        )
        # Every user of the class gets the patched one: the model, and the layers made of it.
        for user in (model, layers.block, layers.attention, layers.mlp, layers.embedding):
            if hasattr(user, class_name):
                monkeypatch.setattr(user, class_name, getattr(module, class_name))
    results = (  # a generator, so that the first wrong gradient ends the checks
        result
        for name, config in CONFIGS.items()
        for result in check_model(sg.get_backend(), name, gpt(config))
    )
    assert not all(result.passed for result in results), fault.mistake


@pytest.mark.parametrize("fault", ADAMW_FAULTS, ids=ids(ADAMW_FAULTS))
def test_a_wrong_adamw_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, ZeroDivisionError, RuntimeWarning)):
        assert_follows_the_definition(*patched_adamw(fault.module, fault.old, fault.new, monkeypatch))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("optim.adamw", "def change("),
        ("ops.updates.adamw", "def update("),
        ("backends.numpy.adamw", "def _update_block("),
    ],
)
def test_a_correct_adamw_passes_the_same_check(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_follows_the_definition(*patched_adamw(module, name, f"{name} ", monkeypatch))


def patched_adamw(
    module: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[type[sg.AdamW], Backend]:
    """Return AdamW and a backend, with a patch in the optimizer or in the formula that the backend uses."""
    patched = patched_module(f"scratchgpt.{module}", old, new)
    if module == "optim.adamw":
        return patched.AdamW, sg.get_backend("reference")
    if module == "backends.numpy.adamw":
        monkeypatch.setattr(faster_formula, "update", patched.update)
        return sg.AdamW, sg.get_backend("numpy")
    monkeypatch.setattr(formula, "update", patched.update)
    monkeypatch.setattr(optimizer, "scalars_of", patched.scalars_of)
    return sg.AdamW, sg.get_backend("reference")
