"""The embedding, whose gradient is a matrix product or sums over sorted tokens instead of `np.add.at`."""

import numpy as np

from scratchgpt.ops.embedding import Saved, forward
from scratchgpt.ops.row_gradient import RowGradient
from scratchgpt.shapes import BTC, PC, VC, Array

__all__ = ["Saved", "backward", "forward"]

MAX_ONE_HOT_VOCABULARY = 512  # token ids: up to here, the product one_hot dx costs less than sorting


def backward(saved: Saved, dx: BTC) -> tuple[VC | RowGradient, PC]:
    """Return dwte and dwpe, summed in a deterministic order.

    A batch touches few rows of a large table, so dwte is then a `RowGradient` with only those rows.
    """
    tokens, wte, wpe = saved
    ids, rows = tokens.reshape(-1), dx.reshape(-1, dx.shape[-1])  # (N,), (N, C)
    dwte: Array | RowGradient
    if len(wte) <= MAX_ONE_HOT_VOCABULARY:
        one_hot = np.zeros((len(wte), len(ids)), dtype=dx.dtype)  # (V, N)
        one_hot[ids, np.arange(len(ids))] = 1.0
        dwte = one_hot @ rows
    else:
        order = np.argsort(ids, kind="stable")
        distinct_ids, starts = np.unique(ids[order], return_index=True)
        dwte = RowGradient(distinct_ids, np.add.reduceat(rows[order], starts, axis=0))
    dwpe = np.zeros_like(wpe)
    dwpe[: tokens.shape[1]] = dx.sum(axis=0)
    return dwte, dwpe
