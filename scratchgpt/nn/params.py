"""Parameters: a name and a shape (`Param`), and all their values in one flat array (`ParamVector`)."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.ops.row_gradient import RowGradient
from scratchgpt.shapes import Array

MAX_PARAMETERS = 10**12  # more is a typo in the configuration


@dataclass(frozen=True)
class Param:
    """A handle: the name, shape and initialization of a parameter. It holds no values.

    Attributes:
        name: GPT-2's name, e.g. "h.0.attn.c_attn.weight".
        shape: GPT-2's shape.
        mean: mean of the initial values (1 for a LayerNorm weight, else 0).
        std: standard deviation of the initial values, which are normal; 0 sets all of them to `mean`.
    """

    name: str
    shape: tuple[int, ...]
    mean: float = 0.0
    std: float = 0.0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def decays(self) -> bool:
        """Whether weight decay applies: to matrices, not to biases and LayerNorm weights."""
        return len(self.shape) >= 2


class Layout:
    """Where each parameter lies in the flat array: matrices first, otherwise in the given order.

    Attributes:
        params: the handles, in the order of the array.
        spans: (start, end, shape) of every parameter, keyed by name.
        size: total number of values.
        n_decaying: number of values that weight decay applies to; they come first in the array.
    """

    def __init__(self, params: Iterable[Param]) -> None:
        self.params = tuple(sorted(params, key=lambda param: not param.decays))
        self.spans: dict[str, tuple[int, int, tuple[int, ...]]] = {}
        start = 0
        for param in self.params:
            if param.name in self.spans:
                raise ValueError(f"two parameters are called {param.name!r}")
            self.spans[param.name] = (start, start + param.size, param.shape)
            start += param.size
        self.size = start
        self.n_decaying = sum(param.size for param in self.params if param.decays)


class ParamVector:
    """One flat array with a named view for each parameter.

    Weights, gradients and the optimizer's moments are vectors with the same layout, so an update, a norm or
    a checkpoint is one operation on flat memory. Matrices come first, so the values that weight decay
    applies to are one slice, `decaying`.

    `vector["wte.weight"]` and `vector[param]` are the same view. `vector[param] += d` adds in place;
    assigning another array raises, because the flat array would not change.
    """

    def __init__(self, layout: Layout | Iterable[Param], flat: Array) -> None:
        self.layout = layout if isinstance(layout, Layout) else Layout(layout)
        if flat.shape != (self.layout.size,):
            raise ValueError(f"flat has shape {flat.shape}; the layout needs ({self.layout.size},)")
        self.flat = flat
        self._views: dict[str, Array] = {
            name: flat[start:end].reshape(shape) for name, (start, end, shape) in self.layout.spans.items()
        }

    @classmethod
    def initial(cls, layout: Iterable[Param], seed: int, dtype: str = "float32") -> "ParamVector":
        """Draw initial values with NumPy's PCG64 in float64, in the order of `layout`, then round to `dtype`.

        The same seed gives the same weights on every backend and, up to rounding, for every dtype.
        """
        layout = tuple(layout)
        size = sum(param.size for param in layout)
        if size > MAX_PARAMETERS:
            raise InputError(f"the model would have {size:,} parameters; expected at most {MAX_PARAMETERS:,}")
        rng = np.random.default_rng(seed)
        vector = cls(layout, np.empty(size, dtype=dtype))
        for param in layout:
            vector[param][...] = param.mean + param.std * rng.standard_normal(param.shape)
        return vector

    def map(self, function: Callable[[Array], Array]) -> "ParamVector":
        """Return a vector with the same layout over `function(flat)`; itself if that is the same array."""
        flat = function(self.flat)
        return self if flat is self.flat else ParamVector(self.layout, flat)

    def zeros_like(self) -> "ParamVector":
        """Return a vector with the same layout and dtype, filled with zeros."""
        return self.map(np.zeros_like)

    def copy(self) -> "ParamVector":
        """Return a vector with the same values in new memory."""
        return self.map(lambda flat: flat.copy())

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Add to the values of one parameter in place, as backward does with every gradient."""
        if isinstance(gradient, RowGradient):
            gradient.add_to(self[param])
        else:
            self[param] += gradient

    @property
    def decaying(self) -> Array:
        """The leading slice of `flat`, a view: every parameter that weight decay applies to."""
        return self.flat[: self.layout.n_decaying]

    @property
    def size(self) -> int:
        """Number of values of all parameters together."""
        return int(self.flat.size)

    def items(self) -> Iterator[tuple[str, Array]]:
        """Yield (name, view) for every parameter."""
        yield from self._views.items()

    def __getitem__(self, key: str | Param) -> Array:
        return self._views[key.name if isinstance(key, Param) else key]

    def __setitem__(self, key: str | Param, value: Any) -> None:
        # `v[key] += d` changes the view in place, then assigns that same view: the only case allowed.
        if self[key] is not value:
            name = key.name if isinstance(key, Param) else key
            raise TypeError(f"cannot rebind {name!r}: write v[{name!r}][...] = value to change it in place")

    def __contains__(self, name: object) -> bool:
        return name in self._views

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)
