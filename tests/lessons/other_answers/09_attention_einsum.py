"""Another right answer to exercise 09: einsum, and a large negative number where positions are masked."""

import numpy as np


def forward(q, k, v):
    """Scale q before the product; compare the positions of queries and keys."""
    T, D = q.shape[-2:]
    S = k.shape[-2]
    scores = np.einsum("bhtd,bhsd->bhts", q / np.sqrt(D).astype(q.dtype), k)
    position_of_query = np.arange(S - T, S)[:, None]
    scores[..., np.arange(S)[None, :] > position_of_query] = -1e30
    weights = np.exp(scores - np.amax(scores, axis=3, keepdims=True))
    probs = np.einsum("bhts,bht->bhts", weights, 1 / np.einsum("bhts->bht", weights))
    return np.einsum("bhts,bhsd->bhtd", probs, v), probs
