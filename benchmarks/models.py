"""The models that are measured, what they train on or generate, and how much arithmetic a step takes."""

from typing import NamedTuple

import numpy as np

import scratchgpt as sg
from scratchgpt.shapes import Tokens
from scratchgpt.training.mfu import training_flops


class Row(NamedTuple):
    """A row of the tables of training: a model and its batch of `batch_size` texts of block_size tokens.

    `zipf` draws token id n in proportion to 1 / (n + 1), as words of a text are distributed (Zipf's law);
    without it all ids are equally likely.
    """

    config: sg.GPTConfig
    batch_size: int
    zipf: bool = False

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return sg.GPT(self.config).size

    @property
    def n_tokens(self) -> int:
        """Tokens per batch."""
        return self.batch_size * self.config.block_size


class Continuation(NamedTuple):
    """A model that continues a fixed prompt by `n_new` tokens."""

    config: sg.GPTConfig
    n_new: int

    @property
    def prompt(self) -> list[int]:
        """The tokens to continue, always the same."""
        return [7 * i % self.config.vocab_size for i in range(PROMPT_LENGTH)]


Workload = Row | Continuation  # what a process is given to do: training steps, or continuations of a prompt
PROMPT_LENGTH = 16  # tokens

ROWS = {
    "780": Row(sg.GPTConfig(34, 64, 1, 1, 4, tie_weights=False), 1),
    "4x4x128": Row(sg.GPTConfig(65, 64, 4, 4, 128), 12),
    "6x6x384": Row(sg.GPTConfig(65, 256, 6, 6, 384), 16),
    "12x12x768": Row(sg.GPTConfig(50257, 256, 12, 12, 768), 4),
}


def random_batch(row: Row) -> tuple[Tokens, Tokens]:
    """Return the tokens and targets of a step, (B, T) each, always the same."""
    config = row.config
    rng = np.random.default_rng(0)
    shape = (row.batch_size, config.block_size + 1)
    if row.zipf:
        weights = 1.0 / np.arange(1, config.vocab_size + 1)
        tokens = rng.choice(config.vocab_size, size=shape, p=weights / weights.sum())
    else:
        tokens = rng.integers(0, config.vocab_size, shape)
    return tokens[:, :-1], tokens[:, 1:]


def matmul_flops(row: Row) -> float:
    """Return the floating-point operations of a step's matrix products, causal attention counted as half."""
    return row.n_tokens * training_flops(row.config)


def weight_bytes(config: sg.GPTConfig) -> int:
    """Return the bytes of float32 weights that a new token reads, without the embeddings it looks up."""
    looked_up = {"wpe.weight"} | (set() if config.tie_weights else {"wte.weight"})
    return 4 * sum(param.size for param in sg.GPT(config).params if param.name not in looked_up)
