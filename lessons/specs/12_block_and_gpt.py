"""Exercise 12: a block is a sum, a GPT is a stack."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, C, Case, Exercise, H, T, V, WrongAnswer, waves
from lessons.kit.pair import kind
from scratchgpt.ops import (
    attention,
    embedding,
    gelu_tanh,
    layernorm,
    linear,
    linear_cross_entropy,
    merge_heads,
    split_heads,
)
from scratchgpt.shapes import Array

EPS = 0.1
F = 13  # width of the MLP
ARRAYS_PER_BLOCK = 6  # the weights of both norms, of attention's two projections and of the MLP's two layers


class Layer:
    """A layer with the interface of the exercise; backward adds the gradient of its weight to `dweight`."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any], weight: Array) -> None:
        self._forward, self._backward = forward, backward
        self.dweight = np.zeros_like(weight)

    def forward(self, x: Array) -> tuple[Array, Any]:
        """Return (y, saved)."""
        y, saved = self._forward(x)
        return y, saved

    def backward(self, saved: Any, dy: Array) -> Array:
        """Return dx."""
        dx, dweight = self._backward(saved, dy)
        self.dweight = self.dweight + dweight
        return np.asarray(dx)


def norm(weight: Array) -> Layer:
    """Return a LayerNorm without bias."""
    return Layer(
        lambda x: layernorm.forward(x, weight, None, EPS),
        lambda saved, dy: layernorm.backward(saved, dy)[:2],
        weight,
    )


def attend(c_attn: Array, c_proj: Array) -> Layer:
    """Return causal attention with H heads; `dweight` is the gradient of its first projection."""

    def forward(x: Array) -> tuple[Array, Any]:
        qkv, saved_in = linear.forward(x, c_attn)
        (q, k, v), saved_split = split_heads.forward(qkv, H)
        heads, saved_attention = attention.forward(q, k, v, 0.0, None)
        merged, saved_merge = merge_heads.forward(heads)
        y, saved_out = linear.forward(merged, c_proj)
        return y, (saved_in, saved_split, saved_attention, saved_merge, saved_out)

    def backward(saved: Any, dy: Array) -> tuple[Array, Array]:
        saved_in, saved_split, saved_attention, saved_merge, saved_out = saved
        dmerged, *_ = linear.backward(saved_out, dy)
        (dheads,) = merge_heads.backward(saved_merge, dmerged)
        dqkv = attention.backward(saved_attention, dheads)
        (dboth,) = split_heads.backward(saved_split, dqkv)
        dx, dweight, _ = linear.backward(saved_in, dboth)
        return dx, dweight

    return Layer(forward, backward, c_attn)


def perceptron(c_fc: Array, c_proj: Array) -> Layer:
    """Return an MLP; `dweight` is the gradient of its first layer."""

    def forward(x: Array) -> tuple[Array, Any]:
        wide, saved_in = linear.forward(x, c_fc)
        activated, saved_gelu = gelu_tanh.forward(wide)
        y, saved_out = linear.forward(activated, c_proj)
        return y, (saved_in, saved_gelu, saved_out)

    def backward(saved: Any, dy: Array) -> tuple[Array, Array]:
        saved_in, saved_gelu, saved_out = saved
        dactivated, *_ = linear.backward(saved_out, dy)
        (dwide,) = gelu_tanh.backward(saved_gelu, dactivated)
        dx, dweight, _ = linear.backward(saved_in, dwide)
        return dx, dweight

    return Layer(forward, backward, c_fc)


def parts(weights: tuple[Array, ...]) -> list[Layer]:
    """Return the layers of a block: ln_1, attn, ln_2, mlp."""
    return [norm(weights[0]), attend(*weights[1:3]), norm(weights[3]), perceptron(*weights[4:6])]


class Block:
    """A correct block as a layer, for gpt_forward: the learner's block may still be wrong."""

    def __init__(self, weights: tuple[Array, ...]) -> None:
        self.layers = parts(weights)

    def forward(self, x: Array) -> tuple[Array, Any]:
        """Return (y, saved)."""
        ln_1, attn, ln_2, mlp = self.layers
        normed, saved_ln_1 = ln_1.forward(x)
        branch, saved_attn = attn.forward(normed)
        middle = x + branch
        normed, saved_ln_2 = ln_2.forward(middle)
        branch, saved_mlp = mlp.forward(normed)
        return middle + branch, (saved_ln_1, saved_attn, saved_ln_2, saved_mlp)

    def backward(self, saved: Any, dy: Array) -> Array:
        """Return dx."""
        ln_1, attn, ln_2, mlp = self.layers
        dy = dy + ln_2.backward(saved[2], mlp.backward(saved[3], dy))
        return dy + ln_1.backward(saved[0], attn.backward(saved[1], dy))


def weights(seed: float) -> tuple[Array, ...]:
    """Return the weights of a block."""
    return (
        waves(C, seed=seed) + 0.8,
        0.25 * waves(C, 3 * C, seed=seed + 1, mean=0.0),
        0.25 * waves(C, C, seed=seed + 2, mean=0.0),
        waves(C, seed=seed + 3) + 0.8,
        0.25 * waves(C, F, seed=seed + 4, mean=0.0),
        0.25 * waves(F, C, seed=seed + 5, mean=0.0),
    )


def cases() -> list[Case]:
    """Return inputs of a block and of a GPT of two blocks; some tokens repeat and some never occur."""
    inputs = {
        "x": waves(B, T, C),
        "block": weights(2),
        "tokens": (7 * np.arange(B * T) ** 2 + 3).reshape(B, T) % (V - 2),
        "targets": (5 * np.arange(B * T) ** 2 + 1).reshape(B, T) % (V - 1),
        "wte": 0.5 * waves(V, C, seed=30, mean=0.1),
        "wpe": 0.5 * waves(T + 1, C, seed=31, mean=0.1),
        "blocks": (*weights(9), *weights(16)),
        "ln_f": waves(C, seed=23) + 0.8,
    }
    one = {
        "x": waves(1, T, C, seed=6),
        "tokens": np.array([[4, 4, 0, 4, 9]]),
        "targets": np.array([[4, 0, 4, 9, -100]]),
    }
    return [
        Case("first", inputs, waves(B, T, C, seed=5, mean=0.1)),
        Case("batch of one", {**inputs, **one}, waves(1, T, C, seed=7)),
    ]


def stack(inputs: dict[str, Any]) -> list[Any]:
    """Return the layers of the GPT: two blocks and the last LayerNorm."""
    first, second = inputs["blocks"][:ARRAYS_PER_BLOCK], inputs["blocks"][ARRAYS_PER_BLOCK:]
    return [Block(first), Block(second), norm(inputs["ln_f"])]


def two(value: Any, function: str, what: str) -> tuple[Any, Any]:
    """Return the two values that a function returned.

    Raises:
        WrongAnswer: it returned something else.
    """
    if not isinstance(value, tuple) or len(value) != 2:
        raise WrongAnswer(f"{function} returned {kind(value)}; expected {what}")
    return value[0], value[1]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Run the block forward and backward, then the GPT."""
    inputs = case.inputs
    layers = parts(inputs["block"])
    y, saved = two(module.block_forward(inputs["x"], *layers), "block_forward", "(y, saved)")
    yield "y", y
    yield "dx", module.block_backward(saved, case.dy, *layers)
    for layer, name in zip(layers, ("ln_1", "attn", "ln_2", "mlp"), strict=True):
        yield f"weights of {name}", layer.dweight
    tables = (inputs["tokens"], inputs["targets"], inputs["wte"], inputs["wpe"])
    layers = stack(inputs)
    loss, saved = two(module.gpt_forward(*tables, layers), "gpt_forward", "(loss, saved)")
    yield "loss", loss
    dwte, dwpe = two(module.gpt_backward(saved, layers), "gpt_backward", "(dwte, dwpe)")
    yield from (("dwte", dwte), ("dwpe", dwpe))


def scalar(module: ModuleType, case: Case, inputs: dict[str, Any]) -> float:
    """Return the loss to which `dx` and the gradients of the tables belong."""
    y, _ = module.block_forward(inputs["x"], *parts(inputs["block"]))
    total = float(np.sum(y * case.dy))
    try:
        tables = (inputs["tokens"], inputs["targets"], inputs["wte"], inputs["wpe"])
        loss, _ = module.gpt_forward(*tables, stack(inputs))
    except NotImplementedError:
        return total
    return total + float(loss)


def four_paths(case: Case) -> dict[str, Array]:
    """Return the four paths of equation 12.3."""
    layers = parts(case.inputs["block"])
    ln_1, attn, ln_2, mlp = layers
    normed, saved_ln_1 = ln_1.forward(case.inputs["x"])
    branch, saved_attn = attn.forward(normed)
    normed, saved_ln_2 = ln_2.forward(case.inputs["x"] + branch)
    _, saved_mlp = mlp.forward(normed)

    def through_attn(dy: Array) -> Array:
        return ln_1.backward(saved_ln_1, attn.backward(saved_attn, dy))

    through_mlp = ln_2.backward(saved_ln_2, mlp.backward(saved_mlp, case.dy))
    return {
        "stream": case.dy,
        "MLP": through_mlp,
        "attention": through_attn(case.dy),
        "both": through_attn(through_mlp),
    }


def two_uses(case: Case) -> dict[str, Array]:
    """Return the two uses of wte in equation 12.5."""
    inputs = case.inputs
    x, saved_embedding = embedding.forward(inputs["tokens"], inputs["wte"], inputs["wpe"])
    layers, saved = stack(inputs), []
    for layer in layers:
        x, kept = layer.forward(x)
        saved.append(kept)
    _, saved_head = linear_cross_entropy.forward(x, inputs["wte"], inputs["targets"])
    assert saved_head is not None
    dx, from_head = linear_cross_entropy.backward(saved_head)
    for layer, kept in zip(reversed(layers), reversed(saved), strict=True):
        dx = layer.backward(kept, dx)
    return {"head": from_head, "embedding": embedding.backward(saved_embedding, dx)[0]}


EXERCISE = Exercise(
    12,
    "A block is a sum, a GPT is a stack",
    ("block_forward", "block_backward", "gpt_forward", "gpt_backward"),
    cases,
    run,
    ("y", "loss"),
    {"dx": "x", "dwte": "wte", "dwpe": "wpe"},
    scalar,
    terms={"dx": four_paths, "dwte": two_uses},
    equations={
        "stream": "along the residual stream, eq. 12.3",
        "MLP": "through the MLP, eq. 12.3",
        "attention": "through attention, eq. 12.3",
        "both": "through the MLP, then attention, eq. 12.3",
        "head": "the head's use of wte, eq. 12.5",
        "embedding": "the embedding's use of wte, eq. 12.5",
    },
    hints={
        "block_forward": (
            "The residual stream is only ever added to. Each branch works on a normalized copy of it.",
            "The same pattern twice: norm, branch, add. The second starts from the result of the first.",
            "middle = x + attn(ln_1(x)); y = middle + mlp(ln_2(middle)); keep all four `saved`.",
        ),
        "block_backward": (
            "Walk the lines of forward from last to first. What does y = middle + branch do to dy?",
            "A sum passes its gradient to both terms; an array that was used twice adds up two gradients.",
            "dmiddle = dy + (the gradient back through mlp and ln_2); then the same with attn and ln_1.",
        ),
        "gpt_forward": (
            "Embedding, then each layer in turn, then the head.",
            "Collect what each layer saved in a list, in the order of the layers.",
            "x, saved = layer.forward(x) in a loop; the head uses wte instead of its own matrix.",
        ),
        "gpt_backward": (
            "Start at the loss: head, layers from last to first, embedding.",
            "wte was used twice, so you get two gradients of its shape. What happens to them?",
            "dwte is the gradient from the head plus the one from the embedding; wpe is used only once.",
        ),
    },
)
