"""Texts that grow: the logits of their next tokens, with everything before them kept in a KV cache."""

import operator
from collections.abc import Sequence

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.generation.next_token import NextToken
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.kv_cache import KVCache
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import check_params, check_tokens, weights_for_passes
from scratchgpt.shapes import Array


class Decoder:
    """Several texts, which need not be of one length, and the model that scores what follows each of them.

    The prompts go through the model once (prefill); after that a step costs one row of each text. When
    a text outgrows the block, the model sees its last block_size tokens: every position shifts, which
    changes every key and value, so from then on a step goes through the whole window.

    Attributes:
        texts: the token ids of every text, the prompt included.
        logits: the scores of the next token of every text, a list of arrays (V,) on the device.
    """

    def __init__(
        self, model: GPT, params: ParamVector, prompts: Sequence[Sequence[int]], *, backend: Backend
    ) -> None:
        check_params(params, model)
        self._model = model
        self._backend = backend
        self._ctx = Context(weights_for_passes(params, backend), NO_GRADS, backend.ops)
        self._cache = KVCache(model.config, len(prompts), like=self._ctx.params.flat)
        row_ops = backend.row_ops(model.config, self._ctx.params.flat)
        self._next_token = NextToken(model, self._ctx, self._cache, row_ops) if row_ops else None
        self.texts = [list(prompt) for prompt in prompts]
        self.logits: list[Array] = []
        for row, text in enumerate(self.texts):
            check_tokens(np.array([text]), model.config)
            self.logits += self._pass([row], [text])

    def step(self, tokens: Sequence[int]) -> None:
        """Append one token to every text.

        Raises:
            InputError: not one token for each text, or one out of range.
            TypeError: a token is no integer. The texts are then as they were, after either.
        """
        if len(tokens) != len(self.texts):
            raise InputError(
                f"the number of tokens is {len(tokens)}; expected {len(self.texts)}, one for each text"
            )
        tokens = [operator.index(token) for token in tokens]
        if not all(0 <= token < self._model.config.vocab_size for token in tokens):
            check_tokens(np.array(tokens, dtype=np.int64).reshape(-1, 1), self._model.config)  # says which
        for text, token in zip(self.texts, tokens, strict=True):
            text.append(token)
        block_size = self._model.config.block_size
        rows = range(len(self.texts))
        full = [row for row in rows if self._cache.lengths[row] == block_size]
        growing = [row for row in rows if self._cache.lengths[row] < block_size]
        for row in full:
            self._cache.lengths[row] = 0
        self._advance(growing, [self.texts[row][-1:] for row in growing])
        self._advance(full, [self.texts[row][-block_size:] for row in full])

    def keep(self, rows: Sequence[int]) -> None:
        """Let text i be what text `rows[i]` was; texts may be repeated, reordered and left out.

        So a text branches into several without another prefill, and one that has ended costs nothing more.

        Raises:
            InputError: there is no such text; the texts are then as they were.
        """
        for row in rows:
            if not 0 <= row < len(self.texts):
                raise InputError(f"text {row} is to be kept; expected one of 0 to {len(self.texts) - 1}")
        self.texts = [list(self.texts[row]) for row in rows]
        self.logits = [self.logits[row] for row in rows]
        self._cache.keep(rows)

    def _advance(self, rows: list[int], tokens: list[list[int]]) -> None:
        """Run the next tokens of some texts through the model and note the logits."""
        if rows:
            for row, logits in zip(rows, self._pass(rows, tokens), strict=True):
                self.logits[row] = logits

    def _pass(self, rows: list[int], tokens: list[list[int]]) -> list[Array]:
        """Return the logits (V,) after the last token of each row."""
        if self._next_token and len(rows) == len(tokens[0]) == 1:
            return [self._next_token(rows[0], tokens[0][0])]
        places = self._cache.next(rows, n_time=len(tokens[0]))
        with self._backend.active(parallel=False):
            logits = self._model.next_logits(self._ctx, self._backend.to_device(np.array(tokens)), places)
        return list(logits[:, -1])
