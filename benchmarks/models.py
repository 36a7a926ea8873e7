"""The models that are measured, what they train on or write, and how much arithmetic a step of theirs is."""

from typing import NamedTuple

import numpy as np

import scratchgpt as sg
from scratchgpt.shapes import Tokens
from scratchgpt.training.matrix_rate import training_operations


class Row(NamedTuple):
    """A model and the batch that it trains on: `batch_size` texts of block_size tokens."""

    config: sg.GPTConfig
    batch_size: int

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return sg.GPT(self.config).size

    @property
    def n_tokens(self) -> int:
        """Tokens per batch."""
        return self.batch_size * self.config.block_size


class Writing(NamedTuple):
    """A model and how many tokens it writes after its prompt."""

    config: sg.GPTConfig
    n_new: int

    @property
    def prompt(self) -> list[int]:
        """Tokens to begin with, always the same."""
        return [7 * i % self.config.vocab_size for i in range(PROMPT)]


Job = Row | Writing  # a training step on the row's batch, or a text
PROMPT = 16  # tokens

ROWS = {
    "780": Row(sg.GPTConfig(34, 64, 1, 1, 4, tie_weights=False), 1),
    "4x4x128": Row(sg.GPTConfig(65, 64, 4, 4, 128), 12),
    "6x6x384": Row(sg.GPTConfig(65, 256, 6, 6, 384), 16),
    "12x12x768": Row(sg.GPTConfig(50257, 256, 12, 12, 768), 4),
}


def random_batch(row: Row) -> tuple[Tokens, Tokens]:
    """Return the tokens and targets of a step, always the same."""
    config = row.config
    shape = (row.batch_size, config.block_size + 1)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, shape)
    return tokens[:, :-1], tokens[:, 1:]


def matmul_flops(row: Row) -> float:
    """Return the floating-point operations of a step's matrix products, causal attention counted as half."""
    return row.n_tokens * training_operations(row.config)


def weight_bytes(config: sg.GPTConfig) -> int:
    """Return the bytes of float32 weights that a new token reads: all that are not merely looked up."""
    looked_up = {"wpe.weight"} | (set() if config.tie_weights else {"wte.weight"})
    return 4 * sum(param.size for param in sg.GPT(config).params if param.name not in looked_up)
