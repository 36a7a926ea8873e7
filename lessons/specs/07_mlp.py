"""Exercise 07: a language model with one hidden layer, its gradients and a training step."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import SIZES, B, Case, D, Exercise, H, Outputs, S, T, V, waves
from lessons.kit.pair import unpacked
from scratchgpt.shapes import Array

PARAMS = ("wte", "w1", "b1", "w2", "b2")
BACKWARD = ("w2", "b2", "w1", "b1", "wte")  # in the order of the backward pass
EDGES = ("large logits", "one row")  # some mistakes do not show in these, and one shows only here
NAMES = ("", *(f", {name}" for name in EDGES))
CONTEXT = np.array(
    [[3, 7, 3, 0, 9], [7, 3, 0, 9, 3], [3, 0, 9, 3, 1], [0, 9, 3, 1, 9], [9, 3, 1, 9, 7], [3] * 5]
)
TARGETS = np.array([3, 1, 9, 7, 3, 10])


def cases() -> list[Case]:
    """Return contexts with repeated and absent tokens, another size, large logits, a single row."""
    first, other = _inputs(CONTEXT, TARGETS, H, D), _inputs(CONTEXT[:4, :B], TARGETS[1:5], D, H)
    large = {**first, "w2": 800.0 * first["w2"]}
    return [
        Case("first", first),
        Case("another size", other),
        Case(EDGES[0], large),
        Case(EDGES[1], _inputs(CONTEXT[:1], TARGETS[:1], H, D)),
    ]


def _inputs(context: Array, targets: Array, n_channels: int, n_hidden: int) -> dict[str, Any]:
    n_inputs = context.shape[1] * n_channels
    return {
        "context": context,
        "targets": targets,
        "lr": 0.2,
        "wte": waves(V, n_channels, seed=1),
        "w1": waves(n_inputs, n_hidden, seed=2, mean=0.0) * n_inputs**-0.5,
        "b1": waves(n_hidden, seed=3, mean=0.1),
        "w2": waves(n_hidden, V, seed=4),
        "b2": waves(V, seed=5),
    }


def _zeros(params: dict[str, Array]) -> dict[str, Array]:
    return {name: np.zeros_like(value) for name, value in params.items()}


def _params(inputs: dict[str, Any]) -> dict[str, Array]:
    return {name: np.array(inputs[name]) for name in PARAMS}


def _run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the loss and each gradient, then loss, weights and gradients of three training steps."""
    context, targets, lr = (case.inputs[name] for name in ("context", "targets", "lr"))
    params = _params(case.inputs)
    loss, saved = unpacked(module.forward(params, context, targets), "forward", ("loss", "saved"))
    yield "loss", loss
    grads = _zeros(params)
    module.backward(params, saved, grads)
    for name in BACKWARD:
        yield f"d{name}", np.array(grads[name])
    _, saved = module.forward(params, context, targets)
    module.backward(params, saved, grads)  # again: it must accumulate
    for name in BACKWARD:
        yield f"d{name} accumulated twice", np.array(grads[name])
    params = _params(case.inputs)
    # grads holds what a previous step left there
    grads = {name: np.full_like(value, 0.5) for name, value in params.items()}
    for step, rows in enumerate((slice(None), slice(None, None, -1), slice(0, max(1, len(targets) - 1)))):
        yield f"loss at step {step + 1}", module.train_step(params, grads, context[rows], targets[rows], lr)
        yield f"weights after step {step + 1}", _flat(params)
        yield f"grads after step {step + 1}", _flat(grads)


def _flat(arrays: dict[str, Array]) -> Array:
    return np.concatenate([arrays[name].ravel() for name in PARAMS])


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the results; edge cases get their own names."""
    after = f", {case.name}" if case.name in EDGES else ""
    for output, value in _run(module, case):
        yield output + after, value


def scalar(module: ModuleType, case: Case, inputs: dict[str, Any]) -> float:
    """Return the loss."""
    with np.errstate(all="ignore"):
        return float(module.forward(_params(inputs), case.inputs["context"], case.inputs["targets"])[0])


def _hidden(case: Case) -> tuple[Array, Array, Array]:
    """Return h, probabilities and one-hot targets."""
    inputs = case.inputs
    x = inputs["wte"][inputs["context"]].reshape(len(inputs["targets"]), -1)
    h = np.tanh(x @ inputs["w1"] + inputs["b1"])
    logits = h @ inputs["w2"] + inputs["b2"]
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return h, exp / exp.sum(axis=1, keepdims=True), np.eye(logits.shape[1])[inputs["targets"]]


def w2_terms(case: Case) -> dict[str, Array]:
    """Return the contributions of the two terms of equation 7.4 to dw2."""
    h, probs, one_hot = _hidden(case)
    return {"prediction": h.T @ probs / len(h), "target": -h.T @ one_hot / len(h)}


def b2_terms(case: Case) -> dict[str, Array]:
    """Return the contributions of the two terms of equation 7.4 to db2."""
    _, probs, one_hot = _hidden(case)
    return {"prediction": probs.mean(axis=0), "target": -one_hot.mean(axis=0)}


def sums_to_zero(output: str) -> Callable[[Case, Outputs], bool]:
    """Return an invariant: the gradient sums to 0 over its last axis."""

    def holds(_: Case, outputs: Outputs) -> bool:
        return bool(np.abs(np.asarray(outputs[output]).sum(axis=-1)).max() < 1e-9)

    return holds


def grads_lead_to_weights(case: Case, outputs: Outputs) -> bool:
    """Return whether the first step changed the weights by -lr times what is left in grads."""
    before = _flat(_params(case.inputs))
    expected = before - case.inputs["lr"] * np.asarray(outputs["grads after step 1"])
    return bool(np.allclose(outputs["weights after step 1"], expected, rtol=0, atol=1e-9))


LEFT = "after train_step, grads must hold the gradient of this step: the weights changed by -lr times it"
ZERO = "probabilities and one-hot targets both sum to 1, so each row of {} must sum to 0"

EXERCISE = Exercise(
    7,
    "A small language model: the chain rule as a list, read backward",
    ("forward", "backward", "train_step"),
    cases,
    run,
    tuple(f"loss{after}" for after in NAMES),
    {f"d{name}{after}": name for after in NAMES for name in BACKWARD},
    scalar,
    terms={"dw2": w2_terms, "db2": b2_terms},
    equations={"prediction": "p / N, eq. 7.4", "target": "-onehot(target) / N, eq. 7.4"},
    invariants={
        "dw2": (ZERO.format("dw2"), sums_to_zero("dw2")),
        "db2": (ZERO.format("db2"), sums_to_zero("db2")),
        "grads after step 1": (LEFT, grads_lead_to_weights),
    },
    ratios={**SIZES, "N": float(S), "K": float(T)},
    hints={
        "forward": (
            "Four steps, as in the formula: lookup, hidden layer, logits, loss.",
            "wte[context] is (N, K, C); reshape joins the last two axes. Work with log-probabilities.",
            "Subtract each row's maximum from the logits; then logprobs = logits - log(sum(exp(logits))).",
        ),
        "backward": (
            "List the steps of forward, then walk the list from its end, passing one gradient along.",
            "dlogits = (probs - onehot) / N. Then linear, tanh (slope 1 - h²), linear, lookup.",
            "du = (dlogits @ w2.T) * (1 - h*h); dw1 = x.T @ du; dwte by np.add.at. Each with +=.",
        ),
        "train_step": (
            "Four steps: zero the gradients, forward, backward, update.",
            "backward accumulates, so each array in grads must be 0 before it: gradient[...] = 0.",
            "params[name] -= lr * grads[name] for each name; return the loss.",
        ),
    },
)
