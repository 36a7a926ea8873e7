"""The backend on a GPU: its table of pairs, and what happens to gradients and logits there."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import cupy
import numpy as np

from scratchgpt.backends import reference
from scratchgpt.backends.base import Backend
from scratchgpt.backends.cupy import cublaslt, dropout, embedding, layernorm, split_heads
from scratchgpt.backends.cupy.attention import Attention
from scratchgpt.backends.cupy.device import Device
from scratchgpt.backends.cupy.gelu import Gelu
from scratchgpt.backends.cupy.gemm import Gemm
from scratchgpt.backends.cupy.graph import Step
from scratchgpt.backends.cupy.kernels import contiguous, index, launch, number, size
from scratchgpt.backends.cupy.linear import Linear
from scratchgpt.backends.cupy.linear_cross_entropy import LinearCrossEntropy
from scratchgpt.backends.cupy.losses import DeviceLosses
from scratchgpt.backends.cupy.sums import total
from scratchgpt.backends.cupy.unembedding import Unembedding
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.sampling import NOT_FINITE
from scratchgpt.ops.updates.adamw import Update
from scratchgpt.shapes import Array

FIRST_LOSS_SCALE = 2.0**16
PATIENCE = 2000  # steps without overflow, after which the loss scale is doubled
THREADS = 256


class CupyBackend(Backend):
    """One GPU. Weights, moments and the sums of gradients are float32; `precision` is that of the passes."""

    def __init__(self, device: Device, precision: str, graph: bool) -> None:
        if precision in ("tf32", "bf16") and device.capability < (8, 0):
            raise InputError(f"precision is {precision!r}; {device} needs float32 or float16")
        self.device = device
        self.precision = precision
        self.graph = graph
        self._compute_type = _compute_type(precision)
        # Loss scaling, for float16 alone: gradients are multiplied by it while they are 16 bits wide.
        scales = precision == "float16"
        self._loss_scale = cupy.full((), FIRST_LOSS_SCALE, dtype=np.float32) if scales else None
        self._n_good = cupy.zeros((), dtype=np.uint32)
        self._n_done = cupy.zeros((), dtype=np.uint32)  # of the blocks of `gradient_norm`
        self._tensor_cores = device.capability >= (8, 0)
        self._gemm = gemm = Gemm(tf32=precision == "tf32")
        ops = dataclasses.replace(
            reference.OPS,
            attention=Attention(self._tensor_cores, device.shared_memory),
            dropout=dropout,
            embedding=embedding,
            gelu_exact=Gelu("gelu_exact"),
            gelu_tanh=Gelu("gelu_tanh"),
            layernorm=layernorm,
            linear=Linear(gemm),
            linear_cross_entropy=LinearCrossEntropy(gemm, device.memory, self._loss_scale),
            split_heads=split_heads,
            unembedding=Unembedding(gemm),
        )
        super().__init__("cupy", ops)

    def describe(self) -> str:
        """Say what computes, and how."""
        details = {
            "float32": "float32",
            "tf32": "TF32 products of float32",
            "bf16": "bf16 with float32 master weights and sums",
            "float16": "float16 with float32 master weights and sums, dynamic loss scaling",
        }
        return (
            f"backend cupy: {self.device}\n"
            f"precision {details[self.precision]}; GEMM cuBLASLt {cublaslt.version()}; "
            f"attention own kernel{' on tensor cores' if self._compute_type and self._tensor_cores else ''}; "
            f"CUDA graph {'on' if self.graph else 'off'}; CuPy {cupy.__version__}"
        )

    def memory(self) -> str:
        """Say how much of the GPU's memory is taken."""
        free, all_of_it = cupy.cuda.runtime.memGetInfo()
        return f", GPU memory: {(all_of_it - free) / 2**30:.2f} of {all_of_it / 2**30:.2f} GiB taken"

    def to_device(self, array: Array) -> Array:
        """Return the array on the GPU."""
        return cupy.asarray(array)

    def to_host(self, array: Array) -> Array:
        """Return the array as a NumPy array."""
        return cupy.asnumpy(array)

    def to_compute(self, flat: Array) -> Array:
        """Return the weights in the type of the passes; float64 stays as it is, for the gradient checks."""
        if self._compute_type is None or flat.dtype == np.float64:
            return flat
        return flat.astype(self._compute_type, copy=False)

    def active(self, side_by_side: bool) -> AbstractContextManager[Any]:
        """Return a context in which this backend's GPU is the current one."""
        return cupy.cuda.Device(self.device.number)

    def capture_step(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return the function of a training step as one that sends its inputs ahead and waits for nothing."""
        return Step(function, self.graph)

    def count_targets(self, targets: Array) -> Array:
        """Return how many targets count, on the device: a replayed graph counts them anew."""
        return total((cupy.asarray(targets) != IGNORE_INDEX).ravel().astype(np.float64))

    def unscale(self, gradient: Array) -> None:
        """Divide by the loss scale, in place, if there is one."""
        if self._loss_scale is not None:
            self._launch("training.cu", "unscale", gradient, gradient, self._loss_scale, size(gradient.size))

    def clip(self, gradient: Array, max_norm: float) -> Array:
        """Scale a flat gradient so that its norm is at most `max_norm`; return the norm that it had."""
        n_blocks = self._blocks(gradient)
        partials = cupy.empty(n_blocks, dtype=np.float64)
        norm = cupy.empty((), dtype=gradient.dtype)
        n = size(gradient.size)
        self._launch("clip.cu", "gradient_norm", gradient, gradient, partials, self._n_done, norm, n)
        if np.isfinite(max_norm):
            self._launch("clip.cu", "scale_to_norm", gradient, gradient, norm, number(max_norm), n)
        return norm

    def adamw(self, step: Update, norm: Any = None) -> None:
        """Take a step of AdamW, in place; none if the norm is not finite."""
        if norm is None:
            norm = self.clip(step.g, np.inf)
        self._launch(
            "adamw.cu", "adamw", step.g, step.w, step.g, step.m, step.v, step.scalars, norm,
            size(step.w.size), size(step.n_decaying), *map(number, step.betas), number(step.eps),
            number(step.weight_decay),
        )  # fmt: skip

    def apply_if_finite(self, update: Callable[[], object], changed: Sequence[Array], norm: Any) -> None:
        """Run an update that changes these arrays in place, and undo it if the norm is not finite."""
        before = [array.copy() for array in changed]
        update()
        is_finite = cupy.isfinite(norm)
        for array, old in zip(changed, before, strict=True):
            array[...] = cupy.where(is_finite, array, old)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return the product of two matrices, in the precision of the passes unless that has 16 bits."""
        return self._gemm(a, b)

    def update_loss_scale(self, norm: Any) -> None:
        """Adapt the loss scale, if there is one."""
        if self._loss_scale is not None:
            arguments = (self._loss_scale, self._n_good, norm, np.uint32(PATIENCE))
            launch("training.cu", "adapt_loss_scale", norm.dtype, (1,), (1,), arguments)

    def state(self) -> dict[str, float]:
        """Return the loss scale, if there is one, and for how many steps it has gone well."""
        if self._loss_scale is None:
            return {}
        return {"loss_scale": float(self._loss_scale), "n_good": int(self._n_good)}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Go on with a loss scale; a run of another precision has none, and then the first one stays."""
        if self._loss_scale is not None and "loss_scale" in state:
            self._loss_scale[...] = state["loss_scale"]
            self._n_good[...] = int(state["n_good"])

    def check_supports(self, config: GPTConfig) -> None:
        """See that the kernels know heads of this size, and that a graph can be recorded."""
        if self.graph and config.adaptive_cutoffs:
            raise InputError(
                f"graph is true and adaptive_cutoffs is {list(config.adaptive_cutoffs)}; expected graph "
                "false, because how many rows a tail has depends on the targets"
            )
        self.ops.attention.tile(config.n_embd // config.n_head, self._compute_type or np.float32)  # type: ignore[attr-defined]

    def losses(self) -> DeviceLosses:
        """Return a ring buffer on the device."""
        return DeviceLosses(may_overflow=self._loss_scale is not None)

    def sample(
        self, logits: Sequence[Array], temperature: float, top_k: int | None, uniforms: Sequence[float]
    ) -> list[int]:
        """Return a token id for each array of scores (V,), picked on the device."""
        tokens = cupy.empty(len(logits), dtype=np.int32)
        for i, (scores, uniform) in enumerate(zip(logits, uniforms, strict=True)):
            arguments = (
                contiguous(scores), tokens[i : i + 1], index(scores.size),
                number(temperature), index(top_k or 0), number(uniform),
            )  # fmt: skip
            launch("sampling.cu", "pick", scores.dtype, (1,), (THREADS,), arguments)
        picked = [int(token) for token in tokens.get()]
        if any(token < 0 for token in picked):
            raise InputError(NOT_FINITE)
        return picked

    def _blocks(self, flat: Array) -> int:
        """Return how many blocks go over a flat vector: a few for each processor."""
        return max(1, min(-(-flat.size // THREADS), 4 * self.device.n_processors))

    def _launch(self, file: str, name: str, flat: Array, *arguments: Any) -> None:
        launch(file, name, flat.dtype, (self._blocks(flat),), (THREADS,), arguments)


def _compute_type(precision: str) -> Any:
    """Return the 16-bit type of the passes, or None if they have the type of the weights."""
    if precision == "bf16":
        try:
            return importlib.import_module("ml_dtypes").bfloat16
        except ImportError:
            raise InputError("precision is 'bf16', which needs ml_dtypes; pip install ml_dtypes") from None
    return np.float16 if precision == "float16" else None
