"""One-hot targets and einsum."""

import numpy as np


def forward(logits, targets):
    hot = np.eye(logits.shape[-1], dtype=logits.dtype)[targets]
    top = np.max(logits, axis=-1)
    log_sum = top + np.log(np.einsum("...v->...", np.exp(logits - top[..., None])))
    at_target = np.einsum("...v,...v->...", logits, hot)
    return np.mean(log_sum - at_target), (logits, log_sum, hot)


def backward(saved, dloss=1.0):
    logits, log_sum, hot = saved
    return (dloss * (np.exp(logits - log_sum[..., None]) - hot) / log_sum.size,)
