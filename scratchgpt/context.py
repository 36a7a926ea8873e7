"""Everything that a pass through the model may touch."""

from dataclasses import dataclass

import numpy as np

from scratchgpt.backends.base import Ops
from scratchgpt.params import ParamVector
from scratchgpt.rng import UniformSource

NO_GRADS = ParamVector((), np.empty(0))


@dataclass(frozen=True)
class Context:
    """The surroundings of one pass; one per thread.

    Attributes:
        params: the weights, only read.
        grads: where backward adds gradients; `NO_GRADS` in a pass that has no backward.
        ops: the backend's table of (forward, backward) pairs.
        rng: draws dropout masks; None switches dropout off (evaluation).
    """

    params: ParamVector
    grads: ParamVector
    ops: Ops
    rng: UniformSource | None = None
