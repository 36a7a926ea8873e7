"""Mistakes planted in the backend's kernels: the emulator or a comparison with the textbook must catch each."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from scratchgpt.backends import Backend, reference
from scratchgpt.ops.rng import RowStreams, step_rng
from scratchgpt.ops.updates import clip
from tests.support import gpu
from tests.support.slow import others_slow


class Mistake(NamedTuple):
    """A patch of a kernel file, and the message of the error that must follow."""

    file: str
    old: str
    new: str
    message: str  # a regular expression


MISTAKES = {
    "no barrier between scores and the weighted sum": Mistake(
        "attention.cu", "        __syncthreads();\n        for (int j = 0; j < KEYS; j++) {", "        for (int j = 0; j < KEYS; j++) {", "depends on the order"
    ),
    "no barrier before the next tile": Mistake(
        "attention_mma.cu",
        "        add_weighted_rows<COLUMNS>(scores, V, me, out);\n        __syncthreads();",
        "        add_weighted_rows<COLUMNS>(scores, V, me, out);",
        "depends on the order",
    ),
    "no barrier before a row becomes its gradient": Mistake(
        "cross_entropy.cu", "    __syncthreads();  // z[target] has been read\n", "", "depends on the order"
    ),
    "one row too many": Mistake("layernorm.cu", "if (row >= n_rows) return;", "", "guard zone|illegal"),
    "an atomic float addition instead of an ordered sum": Mistake(
        "embedding.cu",
        "        partials[(long long)begin * C + c] = sum;\n    }\n}\n\n// Second stage",
        "        atomicAdd(&partials[c], sum);\n    }\n}\n\n// Second stage",
        "depends on the order|differ",
    ),
    "the causal mask off by one": Mistake(
        "attention.cu", "key <= query + S - T && key < S ?", "key < query + S - T && key < S ?", "differ"
    ),
    "a shuffle over half of the lanes": Mistake(
        "common.cuh", "for (int offset = WARP / 2; offset > 0; offset /= 2) x +=",
        "for (int offset = WARP / 4; offset > 0; offset /= 2) x +=", "differ",
    ),
    "the last block does not wait for the others": Mistake(
        "clip.cu", "is_last = atomicAdd(n_done, 1u) == gridDim.x - 1;", "is_last = blockIdx.x == gridDim.x - 1;",
        "depends on the order",
    ),
    "memory that is never written": Mistake("gelu.cu", "*(Pack*)(y + first) = out;", "", "differ"),
    "a fragment of the wrong half": Mistake(
        "attention_mma.cu", "me.lane / 16 * 8);\n#pragma unroll\n        for (int n = 0; n < N; n += 16)",
        "me.lane / 16 * 0);\n#pragma unroll\n        for (int n = 0; n < N; n += 16)", "differ",
    ),
    "numbers of Philox in the wrong order": Mistake(
        "philox.cuh", "n.values[2 * i] = (unsigned)words[i];", "n.values[2 * i] = (unsigned)(words[i] >> 32);", "differ"
    ),
}  # fmt: skip
QUICK_MISTAKES = [  # a race, a write outside an array, uninitialized memory
    "no barrier before a row becomes its gradient",
    "one row too many",
    "memory that is never written",
]


@pytest.fixture
def patched_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Recompile the kernels in this test, and again after it."""
    gpu.prepare()
    if gpu.is_real():
        pytest.skip("only the emulator is sure to notice; a real GPU may not")
    from scratchgpt.backends.cupy import kernels

    kernels._module.cache_clear()
    kernels._function.cache_clear()
    yield
    kernels._module.cache_clear()
    kernels._function.cache_clear()


def compare(backend: Backend) -> None:
    """Run the kernels that the patches change, under every schedule, and compare them with the textbook."""
    rng = np.random.default_rng(0)

    def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    def check(name: str, inputs: list[np.ndarray], tolerance: float = 1e-4, **options: object) -> None:
        def streams() -> dict[str, object]:
            return {"rng": RowStreams.spawn(step_rng(1, 2), len(inputs[0]))} if options else {}

        with gpu.every_schedule():
            y, saved = getattr(backend.ops, name).forward(
                *map(backend.to_device, inputs), **options, **streams()
            )
        exact = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
        expected, exact_saved = getattr(reference.OPS, name).forward(*exact, **options, **streams())
        dy = [] if expected.ndim == 0 else [normal(*expected.shape).astype(inputs[-1].dtype)]
        with gpu.every_schedule():
            found = [
                y,
                *getattr(backend.ops, name).backward(saved, *map(backend.to_device, dy)),
            ]
        wanted = [expected, *getattr(reference.OPS, name).backward(exact_saved, *dy)]
        for one, other in zip(found, wanted, strict=True):
            if other is not None:
                difference = np.abs(backend.to_host(one).astype(np.float64) - other).max()
                assert difference <= tolerance * max(1.0, np.abs(other).max()), f"{name}: results differ"

    q = [normal(1, 2, 70, 16) for _ in range(3)]
    check("attention", q)
    check("attention", [x.astype("float16") for x in q], 3e-3)
    check("layernorm", [normal(5, 10), normal(10), normal(10)])
    check("gelu_tanh", [normal(3, 8)])
    check("dropout", [normal(2, 30)], p=0.4)
    check("embedding", [rng.integers(0, 3, (4, 30)), normal(3, 8), normal(30, 8)])
    check("linear_cross_entropy", [normal(3, 8), normal(70, 8), np.array([0, 69, 33])])
    gradient = normal(4000)
    with gpu.every_schedule():
        norm = float(backend.clip(backend.to_device(gradient), 1.0))
    assert abs(norm - clip.clip(gradient, 1.0)) < 1e-3, "norms differ"


def test_cupy_kernels_without_a_planted_mistake_pass(patched_kernels: None) -> None:
    compare(gpu.backend())


@pytest.mark.parametrize("name", others_slow(MISTAKES, QUICK_MISTAKES))
def test_cupy_a_planted_mistake_is_caught(
    name: str, patched_kernels: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scratchgpt.backends.cupy import kernels
    from tests.gpu_emulation import memory

    mistake, original, n_patched = MISTAKES[name], kernels.source, 0

    def source(file: str) -> str:
        nonlocal n_patched
        text = original(file)
        if file == mistake.file or (mistake.file.endswith(".cuh") and mistake.old in text):
            assert mistake.old in text, f"{file} has no {mistake.old!r}"
            n_patched += 1
            text = text.replace(mistake.old, mistake.new)
        return text

    backend = gpu.backend()
    monkeypatch.setattr(kernels, "source", source)
    with pytest.raises((RuntimeError, AssertionError), match=mistake.message):
        compare(backend)
    assert n_patched
    memory.forget_damage()


def test_cupy_a_host_array_in_a_launch_is_caught() -> None:
    gpu.prepare()
    from scratchgpt.backends.cupy.kernels import index, launch

    x = gpu.backend().to_device(np.ones(3, dtype=np.float32))
    with pytest.raises(TypeError):
        launch("sums.cu", "sum_vector", "float32", (1,), (32,), (np.ones(3, np.float32), x, index(3)))
