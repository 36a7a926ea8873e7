"""Update ratio: how far a step moves the weights of each layer, relative to their norm.

Around 1e-3 is usual when training goes well. Much more means that the learning rate is too high; much less
that it is too low, or that hardly any gradient reaches the layer. Source of the rule of thumb: Karpathy,
"Building makemore, part 3" (2022), https://www.youtube.com/watch?v=P6sfmUTpUmc.
"""

import math

from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array


def update_ratio(before: ParamVector, after: ParamVector) -> dict[str, float]:
    """Return ‖after - before‖ / ‖before‖ per layer, e.g. {"wte": 1e-3, "wpe": 2e-3, "h.0": 1e-3, ...}.

    Each norm is over all parameters of a layer. A layer whose weights were all zero is left out.
    """
    moved: dict[str, float] = {}
    size: dict[str, float] = {}
    for name, old in before.items():
        layer = layer_of(name)
        moved[layer] = moved.get(layer, 0.0) + _sum_of_squares(after[name] - old)
        size[layer] = size.get(layer, 0.0) + _sum_of_squares(old)
    return {layer: math.sqrt(moved[layer] / size[layer]) for layer in size if size[layer]}


def layer_of(name: str) -> str:
    """Return the layer of a parameter: "h.0" for "h.0.attn.c_attn.weight", "wte" for "wte.weight"."""
    first, second, *_ = name.split(".")
    return f"{first}.{second}" if first == "h" else first


def _sum_of_squares(x: Array) -> float:
    return float((x * x).sum())
