"""One engine's training step on a GPU, in a process of its own that takes a turn when it is told to.

python -m benchmarks.gpu.engines ENGINE ROW [--emulated]

ROW is JSON: a configuration's fields and the batch size. The first answer, a line of JSON, comes after a
few steps; then each line of input, a number of steps, is answered with the seconds that one of them took.
"""

import contextlib
import dataclasses
import gc
import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Protocol

import scratchgpt as sg
from benchmarks.gpu.job import LeftOut, emulate, load_torch, one_line
from benchmarks.models import Row, random_batch
from benchmarks.program import ROOT
from scratchgpt.config import GPTConfig
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.step import TrainingStep

WARM_UP = 3  # steps: a graph is recorded in the second one
LEARNING_RATE = 1e-3


class Engine(Protocol):
    """A model in training that always takes the same batch."""

    def step(self) -> None:
        """Take a step, without waiting for the device."""

    def wait(self) -> None:
        """Wait for the device."""

    def loss(self) -> float:
        """Return the loss of the last step; waits, too."""

    def peak(self) -> dict[str, int]:
        """Return the most bytes of the device's memory that were taken, by who counts them."""

    def release(self) -> None:
        """Give memory that is in reserve back to the device, for the other engines."""


class Pools:
    """CuPy's memory pools, those that somebody makes later included."""

    def __init__(self, cupy: Any) -> None:
        self._pools: list[Any] = [cupy.get_default_memory_pool()]
        make = cupy.cuda.MemoryPool

        def noted(*args: Any) -> Any:
            self._pools.append(make(*args))
            return self._pools[-1]

        cupy.cuda.MemoryPool = noted

    def total_bytes(self) -> int:
        """Return the bytes that the pools hold, in use or in reserve."""
        return sum(int(pool.total_bytes()) for pool in self._pools)

    def release(self) -> None:
        """Free what is in reserve, but for the pool of a recorded graph, which has its addresses."""
        self._pools[0].free_all_blocks()


class OurEngine:
    """This project's step."""

    def __init__(self, row: Row, precision: str, graph: bool) -> None:
        backend = sg.get_backend("cupy", precision=precision, graph=graph)
        self._cupy: Any = importlib.import_module("cupy")  # the backend says what is missing
        self._pools = Pools(self._cupy)
        model = sg.GPT(row.config)
        params = model.init().map(backend.to_device)
        self._take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
        self._batch = random_batch(row)
        self._rng = step_rng(1, 0)  # draws nothing: there is no dropout
        self._peak = 0

    def step(self) -> None:
        """Take a step."""
        self._take_step(*self._batch, LEARNING_RATE, self._rng)

    def wait(self) -> None:
        """Wait for the device."""
        self._cupy.cuda.Device().synchronize()

    def loss(self) -> float:
        """Return the loss of the last step."""
        return self._take_step.read()[-1].loss

    def peak(self) -> dict[str, int]:
        """Return the most bytes that the memory pools held, as far as anybody asked before `release`."""
        self._peak = max(self._peak, self._pools.total_bytes())
        return {"pools": self._peak}

    def release(self) -> None:
        """Empty the pools' reserve."""
        self._pools.release()


class TorchEngine:
    """PyTorch's step: `torch_gpt` with the fused AdamW; the batch lies on the device already."""

    def __init__(self, row: Row, compiled: bool, bfloat16: bool, device: str) -> None:
        torch = self._torch = load_torch()
        torch_gpt = load_torch("benchmarks.torch_gpt")
        if device == "cuda" and not torch.cuda.is_available():
            raise LeftOut(f"PyTorch {torch.__version__} finds no GPU")
        torch.set_float32_matmul_precision("high")  # TF32
        self._device, self._bfloat16 = device, bfloat16
        self._weights = {
            name: tensor.detach().to(device).requires_grad_()
            for name, tensor in torch_gpt.tensors_of(sg.GPT(row.config).init()).items()
        }
        adamw = load_torch("benchmarks.torch_steps").adamw
        self._optimizer = adamw(
            self._weights.values(), lr=LEARNING_RATE, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
        )
        self._batch = [torch.tensor(tokens, device=device) for tokens in random_batch(row)]

        def loss_of(weights: dict[str, Any], x: Any, y: Any) -> Any:
            return torch_gpt.loss(row.config, weights, x, y)

        self._loss_of = torch.compile(loss_of, dynamic=False) if compiled else loss_of
        self._loss: Any = None

    def step(self) -> None:
        """Take a step."""
        self._optimizer.zero_grad(set_to_none=True)
        with self._torch.autocast(self._device, dtype=self._torch.bfloat16, enabled=self._bfloat16):
            loss = self._loss_of(self._weights, *self._batch)
        loss.backward()
        self._torch.nn.utils.clip_grad_norm_(self._weights.values(), 1.0)
        self._optimizer.step()
        self._loss = loss.detach()

    def wait(self) -> None:
        """Wait for the device."""
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def loss(self) -> float:
        """Return the loss of the last step."""
        return float(self._loss)

    def peak(self) -> dict[str, int]:
        """Return the most bytes that tensors took, and that PyTorch had reserved for them."""
        if self._device != "cuda":
            return {}
        cuda = self._torch.cuda
        return {"allocated": cuda.max_memory_allocated(), "reserved": cuda.max_memory_reserved()}

    def release(self) -> None:
        """Drop the gradients and empty the allocator's reserve."""
        self._optimizer.zero_grad(set_to_none=True)
        if self._device == "cuda":
            self._torch.cuda.empty_cache()


OURS: dict[str, tuple[str, bool]] = {
    "scratchgpt bf16": ("bf16", True),
    "scratchgpt bf16, no graph": ("bf16", False),
    "scratchgpt tf32": ("tf32", True),
    "scratchgpt float32": ("float32", True),
}
TORCH: dict[str, tuple[bool, bool]] = {
    "PyTorch bf16": (False, True),
    "torch.compile bf16": (True, True),
    "PyTorch tf32": (False, False),
    "torch.compile tf32": (True, False),
}
GROUPS = {  # engines that take turns with each other
    "bf16": ("scratchgpt bf16", "scratchgpt bf16, no graph", "PyTorch bf16", "torch.compile bf16"),
    "float32": ("scratchgpt tf32", "scratchgpt float32", "PyTorch tf32", "torch.compile tf32"),
}


def make(name: str, row: Row, emulated: bool) -> Engine:
    """Return an engine by name."""
    if name in OURS:
        return OurEngine(row, *OURS[name])
    return TorchEngine(row, *TORCH[name], device="cpu" if emulated else "cuda")


class EngineFailed(Exception):
    """An engine took no step; `out_of_memory` says whether that is why."""

    def __init__(self, reason: str, out_of_memory: bool = False) -> None:
        super().__init__(reason)
        self.out_of_memory = out_of_memory


class EngineProcess:
    """A process that holds one engine. It starts at once; `wait` tells when it is ready."""

    def __init__(self, engine: str, row: Row, emulated: bool) -> None:
        fields = {"config": dataclasses.asdict(row.config), "batch_size": row.batch_size}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe that nobody reads can fill up
        command = [sys.executable, "-m", "benchmarks.gpu.engines", engine, json.dumps(fields)]
        self._process = subprocess.Popen(
            command + ["--emulated"] * emulated,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def wait(self, seconds: float) -> float:
        """Return the seconds of a step once the first few have been taken.

        Raises:
            EngineFailed: they could not be taken, or not in time.
        """
        return float(self._answer(seconds)["seconds"])

    def turn(self, steps: int, seconds: float) -> dict[str, Any]:
        """Take so many steps after one that is not timed; return seconds per step, loss and peak memory."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `_answer` finds out why
            print(steps, file=self._process.stdin, flush=True)
        return self._answer(seconds)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self, seconds: float) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], max(0.0, seconds))[0]:
            raise EngineFailed(f"no answer within {max(0.0, seconds):.0f} s")
        line = stdout.readline()
        if not line:
            self._errors.seek(0)
            said = [each for each in self._errors.read().split("\n") if each.strip()]
            raise EngineFailed(said[-1] if said else "the process ended")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise EngineFailed(answer["failed"], answer["out_of_memory"])
        return answer


def serve(name: str, row: Row, emulated: bool, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the answers."""
    try:
        engine = make(name, row, emulated)
        for _ in range(WARM_UP - 1):
            engine.step()
        engine.wait()
        yield {"seconds": _timed(engine, 1), "peak": engine.peak()}
    except Exception as error:  # torch.compile raises whatever the compiler behind it did
        out_of_memory = "OutOfMemory" in type(error).__name__
        yield {"failed": one_line(error), "out_of_memory": out_of_memory}
        return
    for line in lines:
        engine.step()
        engine.wait()
        seconds = _timed(engine, int(line))
        answer = {"seconds": seconds, "loss": engine.loss(), "peak": engine.peak()}
        gc.collect()
        engine.release()
        yield answer


def _timed(engine: Engine, steps: int) -> float:
    """Return the seconds of a step; the device is waited for only at the end."""
    started = time.perf_counter()
    for _ in range(steps):
        engine.step()
    engine.wait()
    return (time.perf_counter() - started) / steps


def main() -> None:
    """Serve the engine that the command line names."""
    name, text = sys.argv[1:3]
    emulated = "--emulated" in sys.argv
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed goes where errors go
    if emulated:
        emulate()
    fields = json.loads(text)
    row = Row(GPTConfig.from_dict(fields["config"]), fields["batch_size"])
    for answer in serve(name, row, emulated, iter(sys.stdin)):
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
