"""Exercise 14: AdamW.

    m ← β₁ m + (1 - β₁) g        m̂ = m / (1 - β₁ᵗ)
    v ← β₂ v + (1 - β₂) g²       v̂ = v / (1 - β₂ᵗ)
    w ← w - lr λ w               only if w has two axes or more
    w ← w - lr m̂ / (√v̂ + eps)

t is 1 in the first step; λ is the weight decay. Do not change the arrays you get: make new ones.
"""

import numpy as np


def step(w, g, m, v, t, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    """Take step number t = 1, 2, 3, ... for a weight w of any shape, with its gradient g and moments m, v.

    Only a w with two axes or more decays. Returns the new (w, m, v), all of the shape of w: m and v without
    bias correction, as the next step needs them.
    """
    raise NotImplementedError  # your code goes here


def update(weights, gradients, state, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    """Take one step for a list of weights, given the list of their gradients.

    `state` is None in the first call, and then whatever your last call returned. Returns (weights, state),
    with the new weights as a list. Moments start at 0; all weights share one step count.
    """
    raise NotImplementedError  # your code goes here
