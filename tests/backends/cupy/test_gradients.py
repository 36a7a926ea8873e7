"""The gradients of the cupy backend, with its kernels compiled for float64, against finite differences."""

import numpy as np
import pytest

from scratchgpt.backends import reference
from scratchgpt.gradcheck import check_model
from scratchgpt.gradcheck.model_cases import CONFIGS
from scratchgpt.gradcheck.op_cases import check_case, op_cases
from scratchgpt.nn.model import GPT
from tests.support import gpu
from tests.support.slow import others_slow

CASES = [case.op for case in op_cases(reference.OPS)]
QUICK_CASES = [  # the cheapest of each op; attention has none, but it is part of the model below
    "adaptive_softmax", "cross_entropy, rank 2", "dropout", "embedding", "gelu_exact, strided",
    "gelu_tanh, strided", "layernorm, rank 2, no bias", "linear, rank 2, no bias",
    "linear_cross_entropy, part of a batch", "merge_heads", "softmax", "split_heads", "unembedding, rank 2",
]  # fmt: skip


@pytest.mark.parametrize("op", others_slow(CASES, QUICK_CASES))
def test_cupy_every_element_of_every_op_gradient(op: str) -> None:
    backend = gpu.backend()
    case = next(case for case in op_cases(backend.ops) if case.op == op)
    results = check_case(backend, case)
    assert results
    for result in results:
        assert result.passed, result


@pytest.mark.parametrize("name", others_slow(CONFIGS, ["no biases, exact GELU"]))
def test_cupy_model_gradient_along_random_directions(name: str) -> None:
    model = GPT(CONFIGS[name])
    results = list(check_model(gpu.backend(), name, model))
    assert [result.tensor for result in results] == [param.name for param in model.params]
    for result in results:
        assert result.passed, result


def test_cupy_float64_weights_are_not_rounded() -> None:
    backend = gpu.backend("bf16")
    weights = backend.to_device(np.ones(3))
    assert backend.to_compute(weights) is weights
