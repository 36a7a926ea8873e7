"""Clipping by several threads; the parts are always the same, and so is the norm, whatever their number."""

import math

import numpy as np

from scratchgpt.backends.base import blas_threads
from scratchgpt.backends.numpy.workers import Workers
from scratchgpt.ops.updates.clip import scale_to
from scratchgpt.shapes import Array

PARTS = 8  # of the vector, for as many threads at most
SMALL = 1 << 22  # elements: below, to wake a second thread takes longer than its half of the work


def clip(flat: Array, max_norm: float, workers: Workers) -> float:
    """Scale a flat vector in place so that its norm is at most `max_norm`; return the norm before."""
    parts = [flat] if flat.size < SMALL else np.array_split(flat, PARTS)
    with blas_threads(1):
        norm = math.sqrt(sum(workers.map(lambda part: float(part @ part), parts)))
    scale = scale_to(norm, max_norm)
    if scale < 1.0:
        workers.map(lambda part: np.multiply(part, scale, out=part), parts)
    return norm
