"""Gradient checks: hand-written backward passes against finite differences.

python -m scratchgpt.gradcheck                     checks every op and the whole model
sg.gradcheck.check(forward, backward, inputs)      checks a pair that you wrote
"""

from scratchgpt.gradcheck.check import Result, check
from scratchgpt.gradcheck.model_cases import check_model, check_models
from scratchgpt.gradcheck.numerical import directional_derivative, numerical_gradient
from scratchgpt.gradcheck.op_cases import check_ops

__all__ = [
    "Result",
    "check",
    "check_model",
    "check_models",
    "check_ops",
    "directional_derivative",
    "numerical_gradient",
]
