"""Exercise 12 with its own head and embedding in NumPy: one-hot rows and a softmax."""

import numpy as np


def block_forward(x, ln_1, attn, ln_2, mlp):
    a, s1 = ln_1.forward(x)
    b, s2 = attn.forward(a)
    c, s3 = ln_2.forward(x + b)
    d, s4 = mlp.forward(c)
    return x + b + d, {"ln_1": s1, "attn": s2, "ln_2": s3, "mlp": s4}


def block_backward(saved, dy, ln_1, attn, ln_2, mlp):
    through_mlp = ln_2.backward(saved["ln_2"], mlp.backward(saved["mlp"], dy))
    through_both = ln_1.backward(saved["ln_1"], attn.backward(saved["attn"], dy + through_mlp))
    return dy + through_mlp + through_both


def gpt_forward(tokens, targets, wte, wpe, layers):
    one_hot = np.eye(len(wte), dtype=wte.dtype)
    x = one_hot[tokens] @ wte + wpe[: tokens.shape[1]]
    saved = []
    for layer in layers:
        x, kept = layer.forward(x)
        saved.append(kept)
    logits = x @ wte.T
    logits = logits - logits.max(axis=-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    counts = (targets >= 0)[..., None]
    wanted = one_hot[np.maximum(targets, 0)] * counts
    n = int(counts.sum())
    loss = -(wanted * log_p).sum() / n
    dlogits = (np.exp(log_p) * counts - wanted) / np.asarray(n, dtype=wte.dtype)
    return loss, (one_hot[tokens], wte, wpe, x, dlogits, saved)


def gpt_backward(saved, layers):
    chosen, wte, wpe, x, dlogits, kept = saved
    dwte = np.einsum("btv,btc->vc", dlogits, x)
    dx = dlogits @ wte
    for i in range(len(layers) - 1, -1, -1):
        dx = layers[i].backward(kept[i], dx)
    dwpe = np.zeros_like(wpe)
    dwpe[: dx.shape[1]] = dx.sum(axis=0)
    return dwte + np.einsum("btv,btc->vc", chosen, dx), dwpe
