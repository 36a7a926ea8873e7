"""The emulated `cupy.random`: a generator with the methods that CuPy has, without legacy functions."""

from types import ModuleType
from typing import Any

import numpy as np

from tests.gpu_emulation import capture
from tests.gpu_emulation.execution import compute
from tests.gpu_emulation.surface import surface


class Generator:
    """Random numbers on the device; a GPU would draw others from the same seed."""

    def __init__(self, seed: Any = None) -> None:
        self._numpy = np.random.default_rng(seed)

    def __getattr__(self, name: str) -> Any:
        if f"cupy.random.Generator.{name}" not in surface():
            raise AttributeError(f"'cupy.random.Generator' object has no attribute {name!r}")

        def draw(*args: Any, **kwargs: Any) -> Any:
            with capture.forbidden(f"Generator.{name} (cuRAND)"):
                return compute(lambda: np.asarray(getattr(self._numpy, name)(*args, **kwargs)))

        return draw


def build() -> ModuleType:
    """Return the module `cupy.random`."""
    module = ModuleType("cupy.random")
    module.__dict__.update(Generator=Generator, default_rng=Generator)
    return module
