"""Sequences that grow token by token, with the keys and values of earlier tokens in a KV cache."""

import operator
from collections.abc import Sequence

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.generation.next_token import NextToken
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.inputs import check_tokens
from scratchgpt.nn.kv_cache import KVCache
from scratchgpt.shapes import Array


class Decoder:
    """Several sequences, whose lengths may differ, and the logits of the token that follows each.

    The prompts go through the model once (prefill); after that a step runs one token per sequence.
    When one outgrows the context window, the model sees its last block_size tokens: every position shifts,
    which changes every key and value, so from then on each step runs the whole window.

    Args:
        bound: the model, its weights and where to compute.
        prompts: 1 to block_size token ids each.

    Attributes:
        texts: the token ids of every sequence, including the prompt.
        logits: the logits (V,) of the next token, one array per sequence, on the device.
    """

    def __init__(self, bound: BoundModel, prompts: Sequence[Sequence[int]]) -> None:
        self._model, self._config = bound.model, bound.config
        self._backend = bound.backend
        self._ctx = bound.context()
        self._cache = KVCache(self._config, len(prompts), like=self._ctx.params.flat)
        row_ops = self._backend.row_ops(self._config, self._ctx.params.flat)
        self._next_token = NextToken(self._model, self._ctx, self._cache, row_ops) if row_ops else None
        self.texts = [list(prompt) for prompt in prompts]
        self.logits: list[Array] = []
        for row, text in enumerate(self.texts):
            check_tokens(np.array([text]), self._config)
            self.logits += self._run([row], [text])

    def step(self, tokens: Sequence[int]) -> None:
        """Append one token to every sequence and compute the logits of the next.

        Raises:
            InputError: if there is not exactly one token per sequence, or a token is out of range.
            TypeError: if a token is not an integer. The sequences are unchanged after either error.
        """
        if len(tokens) != len(self.texts):
            raise InputError(f"got {len(tokens)} tokens for {len(self.texts)} texts; expected one per text")
        tokens = [operator.index(token) for token in tokens]
        if not all(0 <= token < self._config.vocab_size for token in tokens):
            check_tokens(np.array(tokens, dtype=np.int64).reshape(-1, 1), self._config)  # says which
        for text, token in zip(self.texts, tokens, strict=True):
            text.append(token)
        block_size = self._config.block_size
        rows = range(len(self.texts))
        full = [row for row in rows if self._cache.lengths[row] == block_size]
        growing = [row for row in rows if self._cache.lengths[row] < block_size]
        for row in full:
            self._cache.lengths[row] = 0
        self._advance(growing, [self.texts[row][-1:] for row in growing])
        self._advance(full, [self.texts[row][-block_size:] for row in full])

    def keep(self, rows: Sequence[int]) -> None:
        """Replace `texts` by `[texts[row] for row in rows]`: rows may repeat, reorder or leave out sequences.

        A sequence branches into several without another prefill, and a finished one costs nothing more.

        Raises:
            InputError: if there is no such sequence; they are then unchanged.
        """
        for row in rows:
            if not 0 <= row < len(self.texts):
                raise InputError(f"cannot keep text {row}; expected an index from 0 to {len(self.texts) - 1}")
        self.texts = [list(self.texts[row]) for row in rows]
        self.logits = [self.logits[row] for row in rows]
        self._cache.keep(rows)

    def _advance(self, rows: list[int], tokens: list[list[int]]) -> None:
        """Run the next tokens of some sequences through the model and keep the logits."""
        if rows:
            for row, logits in zip(rows, self._run(rows, tokens), strict=True):
                self.logits[row] = logits

    def _run(self, rows: list[int], tokens: list[list[int]]) -> list[Array]:
        """Return the logits (V,) after the last token of each row."""
        if self._next_token and len(rows) == len(tokens[0]) == 1:
            return [self._next_token(rows[0], tokens[0][0])]
        positions = self._cache.next(rows, n_tokens=len(tokens[0]))
        with self._backend.active(parallel=False):
            logits = self._model.next_logits(self._ctx, self._backend.to_device(np.array(tokens)), positions)
        return list(logits[:, -1])
