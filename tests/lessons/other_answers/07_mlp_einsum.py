"""Exercise 07 with one-hot rows and einsum, and w1 as an array (K, C, F)."""

import numpy as np


def forward(params, context, targets):
    wte, n_context = params["wte"], context.shape[1]
    one_hot = np.eye(len(wte), dtype=wte.dtype)[context]
    w1 = params["w1"].reshape(n_context, wte.shape[1], -1)
    rows = np.einsum("nkv,vc->nkc", one_hot, wte)
    h = np.tanh(np.einsum("nkc,kcf->nf", rows, w1) + params["b1"])
    logits = np.einsum("nf,fv->nv", h, params["w2"]) + params["b2"]
    wanted = np.eye(len(wte), dtype=wte.dtype)[targets]
    shift = logits.max(axis=1)
    losses = shift + np.log(np.exp(logits - shift[:, None]).sum(axis=1)) - (logits * wanted).sum(axis=1)
    return losses.mean(), (one_hot, w1, rows, h, logits, wanted)


def backward(params, saved, grads):
    one_hot, w1, rows, h, logits, wanted = saved
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    dlogits = (exp / exp.sum(axis=1, keepdims=True) - wanted) / len(wanted)
    du = np.einsum("nv,fv,nf->nf", dlogits, params["w2"], 1.0 - h * h)
    grads["w2"] += np.einsum("nf,nv->fv", h, dlogits)
    grads["b2"] += np.einsum("nv->v", dlogits)
    grads["w1"] += np.einsum("nkc,nf->kcf", rows, du).reshape(grads["w1"].shape)
    grads["b1"] += np.einsum("nf->f", du)
    grads["wte"] += np.einsum("nkv,kcf,nf->vc", one_hot, w1, du)


def train_step(params, grads, context, targets, lr):
    for gradient in grads.values():
        gradient.fill(0.0)
    loss, saved = forward(params, context, targets)
    backward(params, saved, grads)
    params.update({name: value - lr * grads[name] for name, value in params.items()})
    return loss
