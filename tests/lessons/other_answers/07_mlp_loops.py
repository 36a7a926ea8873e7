"""Exercise 07 one row at a time."""

import numpy as np


def _row(params, ids):
    x = np.concatenate([params["wte"][i] for i in ids])
    h = np.tanh(params["w1"].T @ x + params["b1"])
    logits = params["w2"].T @ h + params["b2"]
    top = logits.max()
    return x, h, logits - (top + np.log(np.sum(np.exp(logits - top))))


def forward(params, context, targets):
    rows = [_row(params, ids) for ids in context]
    loss = sum(-logprobs[target] for (_, _, logprobs), target in zip(rows, targets, strict=True)) / len(rows)
    return loss, (rows, context, targets)


def backward(params, saved, grads):
    rows, context, targets = saved
    width = params["wte"].shape[1]
    for (x, h, logprobs), ids, target in zip(rows, context, targets, strict=True):
        dlogits = np.exp(logprobs) / len(rows)
        dlogits[target] -= 1.0 / len(rows)
        du = (params["w2"] @ dlogits) * (1.0 - h**2)
        dx = params["w1"] @ du
        grads["w2"] += np.outer(h, dlogits)
        grads["b2"] += dlogits
        grads["w1"] += np.outer(x, du)
        grads["b1"] += du
        for k, i in enumerate(ids):
            grads["wte"][i] += dx[k * width : (k + 1) * width]


def train_step(params, grads, context, targets, lr):
    for name in grads:
        grads[name] = np.zeros_like(grads[name])
    loss, saved = forward(params, context, targets)
    backward(params, saved, grads)
    for name, gradient in grads.items():
        params[name] = params[name] - lr * gradient
    return loss
