"""Another right answer to exercise 10: einsum throughout, with Σ P∘dP computed as dy·y."""

import numpy as np


def forward(q, k, v):
    """Save the output in place of dP's sum."""
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    root = np.sqrt(D).astype(q.dtype)
    scores = np.einsum("bhtd,bhsd->bhts", q, k) / root
    scores[:, :, np.triu(np.ones((T, S), dtype=bool), S - T + 1)] = -np.inf
    exp = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    probs = exp / np.einsum("bhts->bht", exp)[..., None]
    y = np.einsum("bhts,bhsd->bhtd", probs, v)
    return y, {"q": q, "k": k, "v": v, "probs": probs, "y": y, "root": root}


def backward(saved, dy):
    """Σ_s P_ts dP_ts = Σ_s P_ts (dy_t·v_s) = dy_t·y_t."""
    probs, root = saved["probs"], saved["root"]
    dprobs = np.einsum("bhtd,bhsd->bhts", dy, saved["v"])
    row = np.einsum("bhtd,bhtd->bht", dy, saved["y"])
    dscores = probs * (dprobs - row[..., None]) / root
    return (
        np.einsum("bhts,bhsd->bhtd", dscores, saved["k"]),
        np.einsum("bhts,bhtd->bhsd", dscores, saved["q"]),
        np.einsum("bhts,bhtd->bhsd", probs, dy),
    )
