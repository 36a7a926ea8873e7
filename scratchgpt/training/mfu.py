"""Model FLOPs utilization (MFU): training speed as a share of what the machine's matrix products allow.

Source: Chowdhery et al., "PaLM" (2022), section 4.1, https://arxiv.org/abs/2204.02311. Where the paper
divides by the hardware's theoretical peak, we divide by the measured rate of large matrix products.
"""

import time

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.config import GPTConfig
from scratchgpt.shapes import Array

MATRIX_SIZE = 1024
N_MEASUREMENTS = 4  # the fastest counts: the first one is slower, and noise only ever slows one down


def ideal_seconds_per_token(config: GPTConfig, backend: Backend) -> float:
    """Return the seconds per training token at an MFU of 1: its matrix products alone, at the machine's rate.

    Multiplied by tokens per second, this is the MFU.
    """
    return training_flops(config) / matrix_rate(backend)


def training_flops(config: GPTConfig) -> float:
    """Return the FLOPs of all matrix products for one token of a full context window, forward and backward.

    Multiplying a row by a matrix of n weights takes 2 n FLOPs forward and 4 n backward. The matrices are
    those of the blocks (4 C² in attention, 2 C F in the MLP) and the head (C V). Attention's own products,
    scores and weighted values, take 2 T C each forward; the causal mask halves that.
    """
    C, F, T, V = config.n_embd, config.mlp_width, config.block_size, config.vocab_size
    block = 4 * C * C + 2 * C * F + T * C
    return 6.0 * (config.n_layer * block + C * V)


def matrix_rate(backend: Backend) -> float:
    """Measure the FLOPs per second of matrix products, in the dtype that passes compute in.

    Multiplies (1024, 1024) matrices, one per thread of the backend at a time, for about a tenth of a second.
    """
    n = backend.threads or 1
    rng = np.random.default_rng(0)
    flat = backend.to_compute(backend.to_device(rng.standard_normal(MATRIX_SIZE**2, dtype=np.float32)))
    matrix = flat.reshape(MATRIX_SIZE, MATRIX_SIZE)

    def product(_: int) -> Array:
        return backend.matmul(matrix, matrix)

    seconds = []
    with backend.active(parallel=True):
        for _ in range(N_MEASUREMENTS):
            started = time.perf_counter()
            results = backend.map(product, range(n))
            backend.to_host(results[-1][:1, :1].copy())  # waits for the device
            seconds.append(time.perf_counter() - started)
    return 2.0 * MATRIX_SIZE**3 * n / min(seconds)
