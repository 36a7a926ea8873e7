"""Exercise 14: AdamW.

    m ← β₁ m + (1 - β₁) g        m̂ = m / (1 - β₁ᵗ)
    v ← β₂ v + (1 - β₂) g²       v̂ = v / (1 - β₂ᵗ)
    w ← w - lr λ w               matrices only (two axes or more)
    w ← w - lr m̂ / (√v̂ + eps)

t is 1 in the first step; λ is the weight decay. Arrays that you are given stay as they are: make new ones.
"""

import numpy as np


def step(w, g, m, v, t, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    """Take step number t = 1, 2, 3, ... with a weight w of any shape, its gradient g and its moments m, v.

    Only a w of two axes or more decays. Returns (w, m, v), all of the shape of w: m and v as they are kept
    for the next step, without bias correction.
    """
    raise NotImplementedError  # your code goes here


def update(weights, gradients, state, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    """Take one step with a list of weights, given the list of their gradients.

    `state` is None in the first call, and after that whatever your last call returned. Returns (weights,
    state), the new weights as a list. Moments begin as zeros; all weights are in the same step.
    """
    raise NotImplementedError  # your code goes here
