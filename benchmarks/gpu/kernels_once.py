"""Launch every CUDA kernel once, on small arrays, through the backend's ops, for NVIDIA's sanitizer.

python -m benchmarks.gpu.kernels_once [--precision float32|bf16|float16] [--emulated]

Arrays are allocated without a memory pool, so that the sanitizer sees where each one ends. At the end the
program prints how many kernels were launched, and the names of those that were not.
"""

import argparse
import importlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

import scratchgpt as sg
from benchmarks.gpu.job import emulate
from benchmarks.gpu.profile import recorded_launches
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import RowStreams, step_rng
from scratchgpt.training.step import TrainingStep

PRECISIONS = ("float32", "bf16", "float16")
HEADS = (16, 32, 64, 128)
B, T, S, H, V = 2, 37, 70, 2, 131  # not multiples of a tile
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")


def launch_all(precision: str) -> None:
    """Call forward and backward of every op, take a training step, and sample a token."""
    backend = sg.get_backend("cupy", precision=precision)
    if precision != "float16":  # its additional kernels are those of the training step
        for op, args, kwargs in _calls(backend):
            y, saved = op.forward(*args, **kwargs)
            is_loss = not isinstance(y, tuple) and y.ndim == 0
            op.backward(saved, *[] if is_loss else [y])  # y is used as the upstream gradient
    _train(backend)
    for temperature, top_k in ((0.0, None), (1.0, None), (1.0, 5)):
        scores = backend.to_device(np.random.default_rng(0).standard_normal(V).astype(np.float32))
        backend.sample([scores], temperature, top_k, [0.5])


def _calls(backend: sg.Backend) -> Iterator[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """Yield ops with the positional and keyword arguments of their forward."""
    rng = np.random.default_rng(0)
    ops = backend.ops

    def normal(*shape: int) -> Any:
        values = backend.to_device(rng.standard_normal(shape).astype(np.float32))
        return backend.to_compute(values)

    def integers(*shape: int) -> Any:
        return backend.to_device(rng.integers(0, V, shape))

    def streams() -> RowStreams:
        return RowStreams(backend.to_device(RowStreams.spawn(step_rng(1, 2), B).state))

    C = 48
    yield ops.embedding, (integers(B, T), normal(V, C), normal(S, C)), {}
    for bias in (normal(C), None):
        yield ops.layernorm, (normal(B, T, C), normal(C), bias), {}
        yield ops.linear, (normal(B, T, C), normal(C, C), bias), {}
    yield ops.split_heads, (normal(B, T, 3 * C), H), {}
    yield ops.merge_heads, (normal(B, H, T, C // H),), {}
    for gelu in (ops.gelu_tanh, ops.gelu_exact):
        yield gelu, (normal(B, T, C),), {}
    for p, source in ((0.3, streams()), (0.3, np.random.default_rng(1)), (0.3, None)):
        yield ops.dropout, (normal(B, T, C), p, source), {}
    yield ops.unembedding, (normal(B, T, C), normal(V, C)), {}
    targets = rng.integers(0, V, (B, T))
    targets[0, :3] = IGNORE_INDEX
    yield ops.linear_cross_entropy, (normal(B, T, C), normal(V, C), backend.to_device(targets)), {}
    for D in HEADS:
        for keys in (T, S):
            for p, source in ((0.0, None), (0.3, streams())):
                yield (
                    ops.attention,
                    (normal(B, H, T, D), normal(B, H, keys, D), normal(B, H, keys, D), p, source),
                    {},
                )
        packed = ops.split_heads.forward(normal(B, T, 3 * H * D), H)[0]  # views, as in the model
        yield ops.attention, tuple(packed), {"p": 0.3, "rng": streams()}


def _train(backend: sg.Backend) -> None:
    """Take a training step of a small model with dropout, and read its loss."""
    config = sg.GPTConfig(V, T, n_layer=1, n_head=2, n_embd=48, dropout=0.2)
    model = sg.GPT(config)
    params = model.init(1).map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 0.01)
    tokens = np.random.default_rng(0).integers(0, V, (B, T + 1))
    take_step(tokens[:, :-1], tokens[:, 1:], 1e-3, step_rng(1, 0))
    take_step.read()


def never_launched(launched: set[str]) -> list[str]:
    """Return the kernels in the source files that were not launched."""
    folder = importlib.import_module("scratchgpt.backends.cupy.kernels").FOLDER
    names = {
        f"{path.name}: {name}"
        for path in sorted(folder.glob("*.cu"))
        for name in KERNEL.findall(path.read_text(encoding="utf-8"))
    }
    return sorted(names - launched)


def main() -> None:
    """Launch the kernels and print which were not launched."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.kernels_once", description="Launch every CUDA kernel once."
    )
    parser.add_argument("--precision", choices=PRECISIONS, help="default: all of them")
    parser.add_argument("--emulated", action="store_true", help="use the emulator of the tests, not a GPU")
    options = parser.parse_args()
    if options.emulated:
        emulate()
    precisions = [options.precision] if options.precision else PRECISIONS
    sg.get_backend("cupy", precision=precisions[0])  # reports what is missing
    cupy: Any = importlib.import_module("cupy")
    cupy.cuda.set_allocator(None)
    with recorded_launches(timed=False) as records:
        for precision in precisions:
            launch_all(precision)
    cupy.cuda.Device().synchronize()
    launched = {record.name for record in records}
    missed = never_launched(launched)
    print(
        f"{len(launched)} kernels and products, {len(records)} launches; never launched: {missed or 'none'}"
    )


if __name__ == "__main__":
    main()
