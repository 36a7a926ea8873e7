"""The embedding, with its gradient as a matrix product or as sums over sorted tokens: no `np.add.at`."""

import numpy as np

from scratchgpt.ops.embedding import Saved, forward
from scratchgpt.ops.row_gradient import RowGradient
from scratchgpt.shapes import BTC, PC, VC, Array

__all__ = ["Saved", "backward", "forward"]

ONE_HOT_LIMIT = 512  # vocabularies up to here: one_hotᵀ dx costs less than sorting


def backward(saved: Saved, dx: BTC) -> tuple[VC | RowGradient, PC]:
    """Return dwte and dwpe, as sums in an order that does not depend on chance.

    Of a large vocabulary a batch has few words, so dwte is only their rows.
    """
    tokens, wte, wpe = saved
    ids, rows = tokens.reshape(-1), dx.reshape(-1, dx.shape[-1])  # (N,), (N, C)
    dwte: Array | RowGradient
    if len(wte) <= ONE_HOT_LIMIT:
        one_hot = np.zeros((len(wte), len(ids)), dtype=dx.dtype)  # (V, N)
        one_hot[ids, np.arange(len(ids))] = 1.0
        dwte = one_hot @ rows
    else:
        order = np.argsort(ids, kind="stable")
        words, starts = np.unique(ids[order], return_index=True)
        dwte = RowGradient(words, np.add.reduceat(rows[order], starts, axis=0))
    dwpe = np.zeros_like(wpe)
    dwpe[: tokens.shape[1]] = dx.sum(axis=0)
    return dwte, dwpe
