"""Loops over rows, and over both indices of the Jacobian."""

import numpy as np


def forward(x):
    y = np.zeros_like(x)
    for index in np.ndindex(x.shape[:-1]):
        top = max(x[index])
        weights = [np.exp(value - top) for value in x[index]]
        y[index] = [weight / sum(weights) for weight in weights]
    return y, y


def backward(saved, dy):
    dx = np.zeros_like(saved)
    for index in np.ndindex(saved.shape[:-1]):
        p, dp = saved[index], dy[index]
        for j in range(len(p)):
            for i in range(len(p)):
                dx[index][j] += dp[i] * p[i] * ((i == j) - p[j])
    return (dx,)
