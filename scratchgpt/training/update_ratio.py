"""How far a step moves the weights, layer by layer, relative to their size.

About 1e-3 is usual while a model learns well; much more is a learning rate that is too large, much less one
that is too small, or a layer that no gradient reaches. Source of the rule of thumb: Karpathy, "Building
makemore, part 3" (2022), https://www.youtube.com/watch?v=P6sfmUTpUmc.
"""

import math

from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array


def update_ratio(before: ParamVector, after: ParamVector) -> dict[str, float]:
    """Return |after - before| / |before| of every layer, as {"wte": 1e-3, "wpe": 2e-3, "h.0": 1e-3, ...}.

    The norms are those of all parameters of a layer together. A layer of zeros is left out.
    """
    moved: dict[str, float] = {}
    size: dict[str, float] = {}
    for name, old in before.items():
        layer = layer_of(name)
        moved[layer] = moved.get(layer, 0.0) + _sum_of_squares(after[name] - old)
        size[layer] = size.get(layer, 0.0) + _sum_of_squares(old)
    return {layer: math.sqrt(moved[layer] / size[layer]) for layer in size if size[layer]}


def layer_of(name: str) -> str:
    """Return the layer of a parameter: "h.0" of "h.0.attn.c_attn.weight", "wte" of "wte.weight"."""
    first, second, *_ = name.split(".")
    return f"{first}.{second}" if first == "h" else first


def _sum_of_squares(x: Array) -> float:
    return float((x * x).sum())
