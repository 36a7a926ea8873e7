"""Exercise 11: splitting and merging heads."""

from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, C, Case, D, Exercise, H, Outputs, T, WrongAnswer, waves
from lessons.kit.pair import kind, unpacked


def cases() -> list[Case]:
    """Return 4 heads of 7 channels, then 7 heads of 4."""

    def case(name: str, n_head: int, n_channel: int) -> Case:
        shape = (B, n_head, T, n_channel)
        inputs = {
            "qkv": waves(B, T, 3 * C),
            "n_head": n_head,
            "heads": waves(*shape, seed=2),
            "dmerged": waves(B, T, C, seed=3),
        }
        return Case(name, inputs, tuple(waves(*shape, seed=seed) for seed in (4, 5, 6)))

    return [case("first", H, D), case("7 heads of 4 channels", D, H)]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the results of both pairs; if the first is not written yet, the second still runs."""
    with suppress(NotImplementedError):
        yield from _split(module, case)
    yield from _merge(module, case)


def _split(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    returned = module.split_forward(case.inputs["qkv"], case.inputs["n_head"])
    parts, saved = unpacked(returned, "split_forward", ("(q, k, v)", "saved"))
    if not isinstance(parts, tuple | list) or len(parts) != 3:
        raise WrongAnswer(f"split_forward returned {kind(parts)} and saved; expected ((q, k, v), saved)")
    yield from zip(("q", "k", "v"), parts, strict=True)
    yield "dqkv", _one(module.split_backward(saved, case.dy))


def _merge(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    y, saved = unpacked(module.merge_forward(case.inputs["heads"]), "merge_forward", ("y", "saved"))
    yield "merged", y
    yield "dheads", _one(module.merge_backward(saved, case.inputs["dmerged"]))


def _one(returned: Any) -> Any:
    return returned[0] if isinstance(returned, tuple | list) and len(returned) == 1 else returned


def scalar(module: ModuleType, case: Case, inputs: dict[str, Any]) -> float:
    """Return the loss to which the upstream gradients belong."""
    parts, _ = module.split_forward(inputs["qkv"], inputs["n_head"])
    y, _ = module.merge_forward(inputs["heads"])
    split = sum(float(np.sum(part * weight)) for part, weight in zip(parts, case.dy, strict=True))
    return split + float(np.sum(y * inputs["dmerged"]))


def split_is_undone(case: Case, outputs: Outputs) -> bool:
    """Return whether Σ q∘dq + k∘dk + v∘dv is Σ qkv∘dqkv."""
    apart = sum(float(np.sum(outputs[name] * weight)) for name, weight in zip("qkv", case.dy, strict=True))
    found = np.asarray(outputs["dqkv"])
    whole = case.inputs["qkv"]
    return found.shape == whole.shape and bool(np.isclose(apart, np.sum(whole * found), rtol=1e-9))


def merge_is_undone(case: Case, outputs: Outputs) -> bool:
    """Return whether Σ merged∘dmerged is Σ heads∘dheads."""
    apart = np.sum(np.asarray(outputs["merged"]) * case.inputs["dmerged"])
    found = np.asarray(outputs["dheads"])
    heads = case.inputs["heads"]
    return found.shape == heads.shape and bool(np.isclose(apart, np.sum(heads * found), rtol=1e-9))


EXERCISE = Exercise(
    11,
    "Heads are a reshape",
    ("split_forward", "split_backward", "merge_forward", "merge_backward"),
    cases,
    run,
    ("q", "k", "v", "merged"),
    {"dqkv": "qkv", "dheads": "heads"},
    scalar,
    invariants={
        "dqkv": (
            "every number and its gradient move together, so Σ number·gradient must not change",
            split_is_undone,
        ),
        "dheads": (
            "every number and its gradient move together, so Σ number·gradient must not change",
            merge_is_undone,
        ),
    },
    hints={
        "split_forward": (
            "Split the last axis, of length 3C, into three axes, then transpose.",
            "qkv.reshape(B, T, 3, n_head, D): which axis must come first so that q, k, v can be unpacked?",
            "Transpose to (3, B, n_head, T, D) and unpack the result into q, k, v.",
        ),
        "split_backward": (
            "Undo forward's steps in reverse order.",
            "Transpose each of dq, dk, dv back to (B, T, H, D), then put the three together.",
            "np.stack along axis 2 gives shape (B, T, 3, H, D); reshape joins the last three axes.",
        ),
        "merge_forward": (
            "It is the inverse of the split, for one array.",
            "First swap heads and time, then join heads and channels.",
            "heads.transpose(0, 2, 1, 3).reshape(B, T, H * D); save H.",
        ),
        "merge_backward": (
            "It is the split, for one array.",
            "First split the last axis into heads and channels, then swap heads and time.",
            "dy.reshape(B, T, H, D).transpose(0, 2, 1, 3).",
        ),
    },
)
