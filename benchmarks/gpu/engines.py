"""The engines that train on a GPU: scratchgpt's backend in its precisions, and PyTorch."""

import importlib
from typing import Any, Protocol

import scratchgpt as sg
from benchmarks.gpu.job import load_torch, torch_device
from benchmarks.models import Row, random_batch
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.step import TrainingStep

LEARNING_RATE = 1e-3


class Engine(Protocol):
    """A model in training that takes every step on the same batch."""

    def step(self) -> None:
        """Take a step, without waiting for the device."""

    def wait(self) -> None:
        """Wait until the device has finished."""

    def loss(self) -> float:
        """Wait for the device and return the loss of the last step."""

    def peak(self) -> dict[str, int]:
        """Return the peak of the device memory that was taken, in bytes, by who counts it."""

    def release(self) -> None:
        """Return reserved memory to the device, for the other engines."""


class Pools:
    """CuPy's memory pools, including those that are created later."""

    def __init__(self, cupy: Any) -> None:
        self._pools: list[Any] = [cupy.get_default_memory_pool()]
        create = cupy.cuda.MemoryPool

        def create_and_note(*args: Any) -> Any:
            self._pools.append(create(*args))
            return self._pools[-1]

        cupy.cuda.MemoryPool = create_and_note

    def total_bytes(self) -> int:
        """Return the bytes that the pools hold, used or reserved."""
        return sum(int(pool.total_bytes()) for pool in self._pools)

    def release(self) -> None:
        """Free the reserve, except in the pools of recorded graphs, which hold addresses in them."""
        self._pools[0].free_all_blocks()


class OurEngine:
    """The training step of scratchgpt; it uploads its batch in every step."""

    def __init__(self, row: Row, precision: str, graph: bool) -> None:
        backend = sg.get_backend("cupy", precision=precision, graph=graph)
        self._cupy: Any = importlib.import_module("cupy")  # after the backend, which reports what is missing
        self._pools = Pools(self._cupy)
        model = sg.GPT(row.config)
        params = model.init().map(backend.to_device)
        self._take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
        self._batch = random_batch(row)
        self._rng = step_rng(1, 0)  # unused: there is no dropout
        self._peak = 0

    def step(self) -> None:
        """Take a step, without waiting for the device."""
        self._take_step(*self._batch, LEARNING_RATE, self._rng)

    def wait(self) -> None:
        """Wait until the device has finished."""
        self._cupy.cuda.Device().synchronize()

    def loss(self) -> float:
        """Wait for the device and return the loss of the last step."""
        return self._take_step.read()[-1].loss

    def peak(self) -> dict[str, int]:
        """Return the most bytes that the memory pools held at any call of this method."""
        self._peak = max(self._peak, self._pools.total_bytes())
        return {"pools": self._peak}

    def release(self) -> None:
        """Return the reserve of the memory pools to the device."""
        self._pools.release()


class TorchEngine:
    """PyTorch's training step, with TF32 for float32 products; its batch is on the device already."""

    def __init__(self, row: Row, compiled: bool, bfloat16: bool, emulated: bool) -> None:
        self._device = torch_device(emulated)
        self._torch = load_torch()
        self._torch.set_float32_matmul_precision("high")  # TF32
        torch_steps = load_torch("benchmarks.torch_steps")
        self._take_step = torch_steps.TorchStep(row, compiled, bfloat16, self._device)
        self._loss: Any = None

    def step(self) -> None:
        """Take a step, without waiting for the device."""
        self._loss = self._take_step()

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def loss(self) -> float:
        """Wait for the device and return the loss of the last step."""
        return float(self._loss)

    def peak(self) -> dict[str, int]:
        """Return the most bytes that tensors took, and that PyTorch had reserved for them."""
        if self._device != "cuda":
            return {}
        cuda = self._torch.cuda
        return {"allocated": cuda.max_memory_allocated(), "reserved": cuda.max_memory_reserved()}

    def release(self) -> None:
        """Drop the gradients and return the allocator's reserve to the device."""
        self._take_step.drop_gradients()
        if self._device == "cuda":
            self._torch.cuda.empty_cache()


OURS: dict[str, tuple[str, bool]] = {  # precision, and whether the step is recorded as a CUDA graph
    "scratchgpt bf16": ("bf16", True),
    "scratchgpt bf16, no graph": ("bf16", False),
    "scratchgpt tf32": ("tf32", True),
    "scratchgpt float32": ("float32", True),
}
TORCH: dict[str, tuple[bool, bool]] = {  # whether it is compiled, and whether it computes in bfloat16
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
    """Return an engine by name.

    Raises:
        LeftOut: PyTorch is not installed, or finds no GPU.
        InputError: CuPy is not installed, or there is no GPU.
    """
    if name in OURS:
        return OurEngine(row, *OURS[name])
    return TorchEngine(row, *TORCH[name], emulated=emulated)
