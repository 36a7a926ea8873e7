"""Exercise 00: a gradient by central differences.

    ∂f/∂x_j ≈ (f(x + h e_j) - f(x - h e_j)) / 2h,  where e_j is 1 at entry j and 0 elsewhere

All arithmetic is in float64, whatever the dtype of x.
"""

import numpy as np


def numerical_gradient(f, x, h=1e-5):
    """Return the gradient of f at x by central differences, one entry of x at a time.

    x is an array of floats or integers, of any shape, and must not be changed. f takes a float64 array of the
    shape of x and returns one number. h is the step to each side. Returns a float64 array of the shape of x.
    """
    raise NotImplementedError  # your code goes here
