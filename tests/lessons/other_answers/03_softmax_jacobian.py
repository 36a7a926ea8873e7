"""The whole Jacobian, diag(p) - p pᵀ, then einsum."""

import numpy as np


def forward(x):
    log_sum = np.logaddexp.reduce(x, axis=-1, keepdims=True)
    y = np.exp(x - log_sum)
    return y, y


def backward(saved, dy):
    identity = np.eye(saved.shape[-1], dtype=saved.dtype)
    jacobian = np.einsum("...i,ij->...ij", saved, identity) - np.einsum("...i,...j->...ij", saved, saved)
    return (np.einsum("...ij,...i->...j", jacobian, dy),)
