"""The KV cache: keys and values of earlier tokens are kept, so that a new token
needs a pass over that token alone.

Causal attention makes it possible: the keys and values of a token do not depend on later tokens.
Source: Pope et al., "Efficiently Scaling Transformer Inference" (2022), section 2.1,
https://arxiv.org/abs/2211.05102.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.backends.base import Op
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.shapes import BHTD, Array


class KVCache:
    """Keys and values of `n_rows` sequences of up to block_size tokens; their lengths may differ.

    Attributes:
        lengths: number of cached tokens per row.
        keys, values: one array (n_rows, H, block_size, D) per layer, whose first `lengths[row]` positions
            are filled.
    """

    def __init__(self, config: GPTConfig, n_rows: int, like: Array) -> None:
        shape = (n_rows, config.n_head, config.block_size, config.n_embd // config.n_head)
        self.lengths = [0] * n_rows
        self.keys = [np.empty_like(like, shape=shape) for _ in range(config.n_layer)]
        self.values = [np.empty_like(like, shape=shape) for _ in range(config.n_layer)]

    @property
    def block_size(self) -> int:
        """Maximum number of tokens per row."""
        return int(self.keys[0].shape[2])

    def next(self, rows: Sequence[int], n_tokens: int) -> "CacheSlots":
        """Return the slots of the next `n_tokens` tokens of some rows, for one pass of the model.

        Raises:
            InputError: a row has no room left for them.
        """
        for row in rows:
            if self.lengths[row] + n_tokens > self.block_size:
                raise InputError(
                    f"row {row} of the cache has {self.lengths[row]} tokens, and {n_tokens} more do not fit "
                    "into "
                    f"block_size = {self.block_size}"
                )
        return CacheSlots(self, rows, n_tokens)

    def keep(self, rows: Sequence[int]) -> None:
        """Set row i to the old row `rows[i]`; rows may repeat, reorder or drop rows."""
        if list(rows) == list(range(len(self.lengths))):
            return
        self.lengths = [self.lengths[row] for row in rows]
        filled = max(self.lengths, default=0)
        places = np.asarray(np.array(rows, dtype=np.int64), like=self.keys[0])
        for arrays in (self.keys, self.values):
            for layer, old in enumerate(arrays):
                arrays[layer] = np.empty_like(old, shape=(len(rows), *old.shape[1:]))
                arrays[layer][:, :, :filled] = old[places, :, :filled]


class CacheSlots:
    """The slots for the tokens (B, T) of one pass: B rows of the cache, the next T positions of each."""

    def __init__(self, cache: KVCache, rows: Sequence[int], n_tokens: int) -> None:
        self._cache = cache
        self._rows = rows
        self._n_tokens = n_tokens
        # Adjacent rows of equal length share one attention call: (first, last) rows of the pass.
        lengths = [cache.lengths[row] for row in rows]
        starts = [
            i
            for i in range(len(rows))
            if i == 0 or rows[i] != rows[i - 1] + 1 or lengths[i] != lengths[i - 1]
        ]
        self._groups = list(zip(starts, [*starts[1:], len(rows)], strict=True))

    @property
    def positions(self) -> Array:
        """The positions (B, T) of the tokens."""
        lengths = [self._cache.lengths[row] for row in self._rows]
        positions = np.array(lengths)[:, None] + np.arange(self._n_tokens)
        return np.asarray(positions, like=self._cache.keys[0])

    def attend(self, layer: int, attention: Op, q: BHTD, k: BHTD, v: BHTD) -> BHTD:
        """Store the new keys and values of a layer; attend to them and all earlier ones."""
        outputs = []
        for first, last in self._groups:
            row = self._rows[first]
            n = self._cache.lengths[row]
            here = (slice(row, row + last - first), slice(None), slice(0, n + self._n_tokens))
            keys, values = self._cache.keys[layer][here], self._cache.values[layer][here]
            keys[:, :, n:], values[:, :, n:] = k[first:last], v[first:last]
            y, _ = attention.forward(q[first:last], keys, values)
            outputs.append(y)
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def commit(self) -> None:
        """Mark the tokens as cached, once every layer has stored them."""
        for row in self._rows:
            self._cache.lengths[row] += self._n_tokens
