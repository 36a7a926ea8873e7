"""The answer to exercise 07: a language model with one hidden layer, trained by gradient descent.

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
    places = np.arange(len(targets))
    x = params["wte"][context].reshape(len(targets), -1)
    h = np.tanh(x @ params["w1"] + params["b1"])
    logits = h @ params["w2"] + params["b2"]
    logits = logits - logits.max(axis=1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -logprobs[places, targets].mean()
    return loss, (context, targets, x, h, np.exp(logprobs))


def backward(params, saved, grads):
    """Add the gradient with respect to each parameter to the array of its name in grads; return None.

    Gradients accumulate: what is already in grads stays there, so that micro-batches can be added up.
    """
    context, targets, x, h, probs = saved
    dlogits = probs.copy()
    dlogits[np.arange(len(targets)), targets] -= 1.0
    dlogits = dlogits / len(targets)
    dh = dlogits @ params["w2"].T
    du = dh * (1.0 - h * h)
    dx = du @ params["w1"].T
    drows = dx.reshape(*context.shape, -1)  # (N, K, C)
    dwte = np.zeros_like(params["wte"])
    np.add.at(dwte, context, drows)
    found = {"wte": dwte, "w1": x.T @ du, "w2": h.T @ dlogits, "b2": dlogits.sum(axis=0)}
    found["b1"] = du.sum(axis=0)
    for name, gradient in found.items():
        grads[name] += gradient


def train_step(params, grads, context, targets, lr):
    """Take one step of gradient descent: update params in place, and return the loss before the update.

    On entry, `grads` holds what the previous step left there; on return, the gradient of this step.
    """
    for gradient in grads.values():
        gradient[...] = 0.0
    loss, saved = forward(params, context, targets)
    backward(params, saved, grads)
    for name in params:
        params[name] -= lr * grads[name]
    return loss
