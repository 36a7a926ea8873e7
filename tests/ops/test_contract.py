"""Every module of `scratchgpt.ops` is a (forward, backward) pair, or its docstring says that it is not."""

import importlib
import inspect
import pkgutil

import pytest

from scratchgpt import ops

NAMES = [module.name for module in pkgutil.iter_modules(ops.__path__)]
NOT_PAIRS = {"erfc", "rng", "row_gradient", "sampling", "updates"}
PAIRS = [name for name in NAMES if name not in NOT_PAIRS]


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_has_forward_backward_and_saved(name: str) -> None:
    op = importlib.import_module(f"scratchgpt.ops.{name}")
    assert issubclass(op.Saved, tuple) and hasattr(op.Saved, "_fields")
    assert next(iter(inspect.signature(op.backward).parameters)) == "saved"
    assert inspect.signature(op.backward).return_annotation.__origin__ is tuple
    assert inspect.signature(op.forward).return_annotation.__origin__ is tuple


@pytest.mark.parametrize("name", sorted(NOT_PAIRS))
def test_a_module_that_is_not_a_pair_has_no_backward(name: str) -> None:
    assert not hasattr(importlib.import_module(f"scratchgpt.ops.{name}"), "backward")


def test_the_docstring_of_the_folder_names_every_module() -> None:
    pairs, _, others = str(ops.__doc__).partition("they are not pairs")
    assert others
    assert all(name in pairs for name in PAIRS)
    assert all(f"    {name}" in others for name in NOT_PAIRS)
