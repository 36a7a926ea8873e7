"""Exercise 07: a language model with one hidden layer, trained by gradient descent.

    x = the K looked-up rows of the context, side by side     (N, K·C)
    h = tanh(x w1 + b1)                                       (N, F)
    logits = h w2 + b2                                        (N, V)
    loss = mean over the N rows of -log softmax(logits)[target]

`params` and `grads` are dictionaries with the same five keys:
wte (V, C), w1 (K·C, F), b1 (F,), w2 (F, V), b2 (V,).
"""

import numpy as np


def forward(params, context, targets):
    """Return (loss, saved) for N contexts of K ids, context (N, K), and the ids that follow, targets (N,).

    The loss is the mean over the N rows, in nats; logits may be in the thousands. `saved` is whatever your
    backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(params, saved, grads):
    """Add the gradient of the loss by each of params to the array of that name in grads. Returns nothing.

    What is in grads already stays there: several parts of a batch may be added up.
    """
    raise NotImplementedError  # your code goes here


def train_step(params, grads, context, targets, lr):
    """Take one step of gradient descent: change params in place, and return the loss before the change.

    `grads` holds what the last step left there; at the end it holds the gradient of this step.
    """
    raise NotImplementedError  # your code goes here
