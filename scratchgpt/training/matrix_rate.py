"""How near training comes to what the machine could do if it did nothing but multiply matrices."""

import time

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.config import GPTConfig
from scratchgpt.shapes import Array

SIZE = 1024  # of the matrices that are multiplied
TRIES = 4  # the first one is slower, and none is faster than the machine


def ideal_seconds_per_token(config: GPTConfig, backend: Backend) -> float:
    """Return how long a training token takes if its matrix products are all there is, at the machine's rate.

    Times tokens per second this is the share of the machine's matrix rate that training reaches ("model FLOPs
    utilization": Chowdhery et al., "PaLM" (2022), section 4.1, https://arxiv.org/abs/2204.02311).
    """
    return training_operations(config) / matrix_rate(backend)


def training_operations(config: GPTConfig) -> float:
    """Return the operations of the matrix products for one token of a full block, forward and backward.

    A product of a row with a matrix of n weights is 2 n operations forward and 4 n backward. Matrices are
    those of the blocks (4 C² of attention, 2 C F of the MLP) and of the head (C V). Attention's own products,
    scores and values, are 2 T C each, of which the causal mask leaves half.
    """
    C, F, T, V = config.n_embd, config.mlp_width, config.block_size, config.vocab_size
    block = 4 * C * C + 2 * C * F + T * C
    return 6.0 * (config.n_layer * block + C * V)


def matrix_rate(backend: Backend) -> float:
    """Return the operations per second of matrix products in the type that passes compute in, measured now.

    Products of (1024, 1024) matrices, as many side by side as the backend has threads; it takes about a tenth
    of a second.
    """
    n = backend.threads or 1
    rng = np.random.default_rng(0)
    flat = backend.to_compute(backend.to_device(rng.standard_normal(SIZE * SIZE, dtype=np.float32)))
    matrix = flat.reshape(SIZE, SIZE)

    def product(_: int) -> Array:
        return backend.matmul(matrix, matrix)

    seconds = []
    with backend.active(parallel=True):
        for _ in range(TRIES):
            started = time.perf_counter()
            results = backend.map(product, range(n))
            backend.to_host(results[-1][:1, :1].copy())  # waits for a device
            seconds.append(time.perf_counter() - started)
    return 2.0 * SIZE**3 * n / min(seconds)
