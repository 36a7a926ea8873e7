"""Every hand-written gradient against finite differences, on every backend."""

import numpy as np
import pytest

from scratchgpt.backends import Backend, get_backend
from scratchgpt.gradcheck import check_model
from scratchgpt.gradcheck.model_cases import CONFIGS
from scratchgpt.gradcheck.op_cases import check_case, op_cases
from scratchgpt.nn.model import GPT
from tests.support.project import CPU_BACKENDS

CASES = [(name, case.op) for name in CPU_BACKENDS for case in op_cases(get_backend(name).ops)]


@pytest.mark.parametrize(("backend_name", "op"), CASES)
def test_every_element_of_every_op_gradient(backend_name: str, op: str) -> None:
    backend = get_backend(backend_name)
    case = next(case for case in op_cases(backend.ops) if case.op == op)
    results = check_case(backend, case)
    assert results
    for result in results:
        assert result.passed, result


def test_every_op_of_the_table_has_a_case(backend: Backend) -> None:
    assert set(vars(backend.ops)) <= {case.op.split(",")[0] for case in op_cases(backend.ops)}


@pytest.mark.parametrize("name", CONFIGS)
def test_model_gradient_along_random_directions(backend: Backend, name: str) -> None:
    model = GPT(CONFIGS[name])
    results = list(check_model(backend, name, model))
    assert [result.tensor for result in results] == [param.name for param in model.params]
    for result in results:
        assert result.passed, result


def test_key_bias_gradient_is_zero(backend: Backend) -> None:
    """A key bias adds the same number to all scores of a query, which softmax ignores."""
    from scratchgpt.gradcheck.model_cases import awkward_params
    from scratchgpt.gradcheck.op_cases import TARGETS, TOKENS, C
    from scratchgpt.nn.passes import loss_and_grads

    model = GPT(CONFIGS["tied"])
    _, grads = loss_and_grads(model, awkward_params(model), TOKENS, TARGETS, backend=backend)
    bias = grads["h.0.attn.c_attn.bias"]
    assert np.abs(bias[C : 2 * C]).max() < 1e-15
    assert np.abs(bias[:C]).max() > 1e-4
    assert np.abs(bias[2 * C :]).max() > 1e-4
