"""The ops of one decoding step of a single text: vectors, forward only, in few and cheap NumPy calls.

When a small model decodes, most of the time is the overhead of NumPy calls, about half a microsecond each;
arithmetic is little. So nothing is saved for backward, `x.dot(W)` replaces `x @ W`, which has more overhead,
and constants are arrays of rank 0, which NumPy handles in half the time of a Python number.
"""

import math
from contextlib import AbstractContextManager

import numpy as np

from scratchgpt.backends.base import blas_threads
from scratchgpt.backends.numpy.filled import filled
from scratchgpt.config import GPTConfig
from scratchgpt.ops import gelu_exact
from scratchgpt.ops.gelu_tanh import CUBIC, SQRT_2_OVER_PI
from scratchgpt.shapes import HD, HSD, IO, Array, VectorC, VectorI, VectorO

MIN_WEIGHTS_FOR_THREADS = 6_000_000  # below, one core reads them from cache before a second one wakes up


class RowOps:
    """The ops for one model. Not thread-safe, because calls share scratch arrays.

    Args:
        config: the model's configuration.
        weights: the model's weights, flat; only their number and dtype matter.
        threads: BLAS threads for a model of MIN_WEIGHTS_FOR_THREADS or more; smaller models use one.
    """

    def __init__(self, config: GPTConfig, weights: Array, threads: int) -> None:
        dtype = weights.dtype
        self._threads = 1 if weights.size < MIN_WEIGHTS_FOR_THREADS else threads
        self._C, self._eps = config.n_embd, config.layer_norm_epsilon
        self._average = filled((config.n_embd,), 1.0 / config.n_embd, dtype)
        self._mean, self._rstd = np.empty((), dtype), np.empty((), dtype)
        self._scale = filled((), 1.0 / math.sqrt(config.n_embd // config.n_head), dtype)
        self._ones = filled((config.block_size,), 1.0, dtype)
        self._one, self._half = filled((), 1.0, dtype), filled((), 0.5, dtype)
        self._sqrt_2_over_pi = filled((), SQRT_2_OVER_PI, dtype)
        self._cubic = filled((), SQRT_2_OVER_PI * CUBIC, dtype)
        self._gelu = self._gelu_tanh if config.activation == "gelu_tanh" else self._gelu_exact

    def active(self) -> AbstractContextManager[None]:
        """Return a context in which BLAS uses one thread for a small model, all for a large one."""
        return blas_threads(self._threads)

    def layernorm(self, x: VectorC, weight: VectorC, bias: VectorC | None) -> VectorC:
        """Normalize x, then scale by γ and shift by β, as `ops.layernorm` does for one row."""
        self._mean[()] = x.dot(self._average)
        y = x - self._mean
        self._rstd[()] = 1.0 / math.sqrt(float(y.dot(y)) / self._C + self._eps)
        y *= self._rstd
        y *= weight
        if bias is not None:
            y += bias
        return y

    def linear(self, x: VectorI, weight: IO, bias: VectorO | None) -> VectorO:
        """Return x W + b, as `ops.linear` does for one row."""
        y: Array = x.dot(weight)
        if bias is not None:
            y += bias
        return y

    def attention(self, q: HD, k: HSD, v: HSD) -> HD:
        """Average the values at all S positions, weighted by similarity: `ops.attention` with T = 1."""
        scores: Array = k @ (q * self._scale)[:, :, None]  # (H, S, 1)
        scores -= np.maximum.reduce(scores, axis=1, keepdims=True)
        exponentials = np.exp(scores, out=scores)[:, :, 0]
        y: Array = (exponentials[:, None] @ v)[:, 0]
        y /= exponentials.dot(self._ones[: k.shape[1]])[:, None]
        return y

    def gelu(self, x: Array) -> Array:
        """Apply the configured GELU to x (F,)."""
        return self._gelu(x)

    def _gelu_tanh(self, x: Array) -> Array:
        y = x * x
        y *= self._cubic
        y += self._sqrt_2_over_pi
        y *= x
        np.tanh(y, y)
        y += self._one
        y *= x
        y *= self._half
        return y

    def _gelu_exact(self, x: Array) -> Array:
        y, _ = gelu_exact.forward(x)
        return y
