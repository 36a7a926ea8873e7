"""Clipping on several threads; the parts do not depend on the number of threads, so neither does the norm."""

import math

import numpy as np

from scratchgpt.backends.base import blas_threads
from scratchgpt.backends.numpy.workers import Workers
from scratchgpt.ops.updates.clip import scale_to
from scratchgpt.shapes import Array

N_PARTS = 8  # of a large vector, and so the largest number of threads that work on it
MIN_ELEMENTS_FOR_THREADS = 1 << 22  # below, waking a second thread takes longer than its half of the work


def clip(flat: Array, max_norm: float, workers: Workers) -> float:
    """Scale a flat vector in place so that its norm is at most `max_norm`; return the norm before."""
    parts = [flat] if flat.size < MIN_ELEMENTS_FOR_THREADS else np.array_split(flat, N_PARTS)
    with blas_threads(1):
        norm = math.sqrt(sum(workers.map(lambda part: float(part @ part), parts)))
    scale = scale_to(norm, max_norm)
    if scale < 1.0:
        workers.map(lambda part: np.multiply(part, scale, out=part), parts)
    return norm
