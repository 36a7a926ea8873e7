"""The backend on a GPU: its table of pairs, weight updates, loss scaling and sampling on the device."""

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

INITIAL_LOSS_SCALE = 2.0**16
LOSS_SCALE_GROWTH_INTERVAL = 2000  # steps without overflow after which the loss scale is doubled
THREADS_PER_BLOCK = 256


class CupyBackend(Backend):
    """One GPU. Weights, moments and sums of gradients are float32; `precision` is that of the passes."""

    def __init__(self, device: Device, precision: str, graph: bool) -> None:
        if precision in ("tf32", "bf16") and device.capability < (8, 0):
            raise InputError(
                f"precision is {precision!r}, which needs compute capability 8.0 or higher; "
                f"for {device}, choose float32 or float16"
            )
        self.device = device
        self.precision = precision
        self.graph = graph
        self._compute_type = _compute_type(precision)
        # Loss scaling, only for float16: keeps 16-bit gradients from underflowing.
        scales = precision == "float16"
        self._loss_scale = cupy.full((), INITIAL_LOSS_SCALE, dtype=np.float32) if scales else None
        self._n_good = cupy.zeros((), dtype=np.uint32)  # steps since the last overflow or doubling
        self._n_done = cupy.zeros((), dtype=np.uint32)  # finished blocks of the kernel `gradient_norm`
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
        """Return the GPU, the precision and the libraries, for the log of a run."""
        details = {
            "float32": "float32",
            "tf32": "float32 with TF32 matrix products",
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
        """Return how much of the GPU's memory is in use, as a line."""
        free, total_bytes = cupy.cuda.runtime.memGetInfo()
        return f"GPU memory: {(total_bytes - free) / 2**30:.2f} of {total_bytes / 2**30:.2f} GiB in use\n"

    def to_device(self, array: Array) -> Array:
        """Return the array on the GPU."""
        return cupy.asarray(array)

    def to_host(self, array: Array) -> Array:
        """Return the array as a NumPy array."""
        return cupy.asnumpy(array)

    def to_compute(self, flat: Array) -> Array:
        """Return the weights in the dtype of the passes; float64 stays as it is, for gradient checks."""
        if self._compute_type is None or flat.dtype == np.float64:
            return flat
        return flat.astype(self._compute_type, copy=False)

    def active(self, parallel: bool) -> AbstractContextManager[Any]:
        """Return a context in which this backend's GPU is the current one."""
        return cupy.cuda.Device(self.device.number)

    def capture_step(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return a step that copies its inputs ahead of time and never waits; with `graph`, a CUDA graph."""
        return Step(function, self.graph)

    def count_targets(self, targets: Array) -> Array:
        """Return how many targets count, as a device array, so that a replayed graph counts them again."""
        return total((cupy.asarray(targets) != IGNORE_INDEX).ravel().astype(np.float64))

    def unscale(self, gradient: Array) -> None:
        """Divide a gradient by the loss scale, in place, if there is one."""
        if self._loss_scale is not None:
            self._launch("training.cu", "unscale", gradient, gradient, self._loss_scale, size(gradient.size))

    def clip(self, gradient: Array, max_norm: float) -> Array:
        """Scale a flat gradient in place to a norm of at most `max_norm`; return the norm before (rank 0)."""
        n_blocks = self._blocks(gradient)
        partials = cupy.empty(n_blocks, dtype=np.float64)
        norm = cupy.empty((), dtype=gradient.dtype)
        n = size(gradient.size)
        self._launch("clip.cu", "gradient_norm", gradient, gradient, partials, self._n_done, norm, n)
        if np.isfinite(max_norm):
            self._launch("clip.cu", "scale_to_norm", gradient, gradient, norm, number(max_norm), n)
        return norm

    def adamw(self, step: Update, norm: Any = None) -> None:
        """Apply an AdamW update in place; the kernel skips it if the norm is not finite."""
        if norm is None:
            norm = self.clip(step.g, np.inf)
        self._launch(
            "adamw.cu", "adamw", step.g, step.w, step.g, step.m, step.v, step.scalars, norm,
            size(step.w.size), size(step.n_decaying), *map(number, step.betas), number(step.eps),
            number(step.weight_decay),
        )  # fmt: skip

    def apply_if_finite(self, update: Callable[[], object], changed: Sequence[Array], norm: Any) -> None:
        """Run `update`, then restore the arrays `changed` if the norm is not finite; the device decides."""
        before = [array.copy() for array in changed]
        update()
        is_finite = cupy.isfinite(norm)
        for array, old in zip(changed, before, strict=True):
            array[...] = cupy.where(is_finite, array, old)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return the product of two matrices, with TF32 if that is the precision of the passes."""
        return self._gemm(a, b)

    def update_loss_scale(self, norm: Any) -> None:
        """Halve the loss scale, if there is one, after an overflow; double it after many steps without."""
        if self._loss_scale is not None:
            arguments = (self._loss_scale, self._n_good, norm, np.uint32(LOSS_SCALE_GROWTH_INTERVAL))
            launch("training.cu", "adapt_loss_scale", norm.dtype, (1,), (1,), arguments)

    def state(self) -> dict[str, float]:
        """Return the loss scale, if there is one, and the number of steps without overflow."""
        if self._loss_scale is None:
            return {}
        return {"loss_scale": float(self._loss_scale), "n_good": int(self._n_good)}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Restore the loss scale; a checkpoint of another precision has none, and the initial one stays."""
        if self._loss_scale is not None and "loss_scale" in state:
            self._loss_scale[...] = state["loss_scale"]
            self._n_good[...] = int(state["n_good"])

    def check_supports(self, config: GPTConfig) -> None:
        """Check that the kernels support heads of this size, and that a step can be captured in a graph.

        Raises:
            InputError: one of them is not so.
        """
        if self.graph and config.adaptive_cutoffs:
            raise InputError(
                f"graph is true and adaptive_cutoffs is {list(config.adaptive_cutoffs)}; set graph to false, "
                "because how many rows a tail has depends on the targets, and a graph has fixed shapes"
            )
        self.ops.attention.tile(config.n_embd // config.n_head, self._compute_type or np.float32)  # type: ignore[attr-defined]

    def losses(self) -> DeviceLosses:
        """Return a ring buffer on the device."""
        return DeviceLosses(may_overflow=self._loss_scale is not None)

    def sample(
        self, logits: Sequence[Array], temperature: float, top_k: int | None, uniforms: Sequence[float]
    ) -> list[int]:
        """Sample a token id from each array of logits (V,), on the device."""
        tokens = cupy.empty(len(logits), dtype=np.int32)
        for i, (scores, uniform) in enumerate(zip(logits, uniforms, strict=True)):
            arguments = (
                contiguous(scores), tokens[i : i + 1], index(scores.size),
                number(temperature), index(top_k or 0), number(uniform),
            )  # fmt: skip
            launch("sampling.cu", "pick", scores.dtype, (1,), (THREADS_PER_BLOCK,), arguments)
        sampled = [int(token) for token in tokens.get()]
        if any(token < 0 for token in sampled):
            raise InputError(NOT_FINITE)
        return sampled

    def _blocks(self, flat: Array) -> int:
        """Return how many blocks process a flat vector: enough to cover it, but few per multiprocessor."""
        return max(1, min(-(-flat.size // THREADS_PER_BLOCK), 4 * self.device.n_processors))

    def _launch(self, file: str, name: str, flat: Array, *arguments: Any) -> None:
        launch(file, name, flat.dtype, (self._blocks(flat),), (THREADS_PER_BLOCK,), arguments)


def _compute_type(precision: str) -> Any:
    """Return the 16-bit dtype of the passes, or None if they run in the dtype of the weights."""
    if precision == "bf16":
        try:
            return importlib.import_module("ml_dtypes").bfloat16
        except ImportError:
            raise InputError("precision is 'bf16', which needs ml_dtypes: pip install ml_dtypes") from None
    return np.float16 if precision == "float16" else None
