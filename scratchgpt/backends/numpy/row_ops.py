"""The ops of one new token: vectors, forward only, in as few and as cheap calls of NumPy as possible.

A step of a small model spends most of its time on calling NumPy, about half a microsecond each, and little on
arithmetic. So nothing is saved for a backward pass, `x.dot(W)` stands for `x @ W`, which takes longer to be
called, and constants are arrays (), for which NumPy takes half the time that it takes for a Python number.
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

SMALL = 6_000_000  # weights: below, one core reads them from its cache before a second one is awake


class RowOps:
    """The ops for a model, for one thread of Python at a time, because they keep places for numbers.

    Args:
        config: its shape.
        weights: its weights, flat.
        threads: for the products of a model that is not SMALL.
    """

    def __init__(self, config: GPTConfig, weights: Array, threads: int) -> None:
        dtype = weights.dtype
        self._threads = 1 if weights.size < SMALL else threads
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
        """Return a context in which BLAS uses as many threads as pay."""
        return blas_threads(self._threads)

    def layernorm(self, x: VectorC, weight: VectorC, bias: VectorC | None) -> VectorC:
        """Normalise, scale by γ and shift by β, as `ops.layernorm` does."""
        self._mean[()] = x.dot(self._average)
        y = x - self._mean
        self._rstd[()] = 1.0 / math.sqrt(float(y.dot(y)) / self._C + self._eps)
        y *= self._rstd
        y *= weight
        if bias is not None:
            y += bias
        return y

    def linear(self, x: VectorI, weight: IO, bias: VectorO | None) -> VectorO:
        """Return x W + b, as `ops.linear` does."""
        y: Array = x.dot(weight)
        if bias is not None:
            y += bias
        return y

    def attention(self, q: HD, k: HSD, v: HSD) -> HD:
        """Average the values of all S positions by similarity, as `ops.attention` does for T = 1."""
        scores: Array = k @ (q * self._scale)[:, :, None]  # (H, S, 1)
        scores -= np.maximum.reduce(scores, axis=1, keepdims=True)
        exponentials = np.exp(scores, out=scores)[:, :, 0]
        y: Array = (exponentials[:, None] @ v)[:, 0]
        y /= exponentials.dot(self._ones[: k.shape[1]])[:, None]
        return y

    def gelu(self, x: Array) -> Array:
        """Bend, as the op does that the configuration names."""
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
