"""Exercise 07: a language model with one hidden layer, trained by gradient descent.

    x = the embeddings of the K context tokens, concatenated   (N, K·C)
    h = tanh(x w1 + b1)                                        (N, F)
    logits = h w2 + b2                                         (N, V)
    loss = mean over the N rows of -log softmax(logits)[target]

`params` and `grads` are dictionaries with the same five keys:
wte (V, C), w1 (K·C, F), b1 (F,), w2 (F, V), b2 (V,).
"""

import numpy as np


def forward(params, context, targets):
    """Return (loss, saved) for context (N, K), N rows of K token ids, and targets (N,), the ids that follow.

    The loss is the mean over the N rows, in nats; logits may be in the thousands. `saved` is whatever your
    backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(params, saved, grads):
    """Add the gradient with respect to each parameter to the array of its name in grads; return None.

    Gradients accumulate: what is already in grads stays there, so that micro-batches can be added up.
    """
    raise NotImplementedError  # your code goes here


def train_step(params, grads, context, targets, lr):
    """Take one step of gradient descent: update params in place, and return the loss before the update.

    On entry, `grads` holds what the previous step left there; on return, the gradient of this step.
    """
    raise NotImplementedError  # your code goes here
