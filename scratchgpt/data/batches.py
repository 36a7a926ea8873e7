"""Token arrays: split, drawn as random windows for training, walked through once for evaluation."""

from collections.abc import Iterator

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import Array, Tokens


def split(tokens: Array, val_fraction: float, block_size: int) -> tuple[Array, Array]:
    """Cut (N,) tokens into training and held-out tokens; the held-out ones are the last.

    With `val_fraction` 0 nothing is held out, and the second part is the training text again.

    Raises:
        InputError: a part shorter than a block.
    """
    n_train = int(len(tokens) * (1.0 - val_fraction))
    train = tokens[:n_train]
    val = tokens[n_train:] if val_fraction else train
    for part, what in ((train, "training"), (val, "held-out")):
        if len(part) < max(block_size, 2):  # one token alone has no target
            raise InputError(
                f"the text has {len(tokens)} tokens, of which {len(part)} are {what} text; expected at least "
                f"a block of {max(block_size, 2)} there. Use a longer text or a smaller --model.block_size"
                + (f", or --training.val_fraction 0 (now {val_fraction:g})" if what == "held-out" else "")
            )
    return train, val


def random_batch(
    tokens: Array, batch_size: int, block_size: int, rng: np.random.Generator
) -> tuple[Tokens, Tokens]:
    """Draw `batch_size` windows of `block_size` tokens, each with its targets: the tokens one place on.

    Every window that has all its targets is as likely as any other. A text of exactly one block
    has one window, without a last target; that place holds IGNORE_INDEX.
    """
    starts = rng.integers(0, max(1, len(tokens) - block_size), size=batch_size)
    places = starts[:, None] + np.arange(block_size)  # (B, T)
    after = np.minimum(places + 1, len(tokens) - 1)
    targets = np.where(places + 1 < len(tokens), tokens[after], IGNORE_INDEX)
    return tokens[places], targets


def windows(
    tokens: Array, batch_size: int, block_size: int, max_tokens: int | None = None
) -> Iterator[tuple[Tokens, Tokens]]:
    """Yield batches that together hold every target of the text exactly once.

    The text is cut into windows side by side; the last, shorter one comes alone. With
    `max_tokens`, only as many full windows as fit, at least one, spread evenly over the text.
    """
    n_full = (len(tokens) - 1) // block_size
    chosen = np.arange(n_full)
    whole = max_tokens is None or max_tokens >= len(tokens) - 1 or n_full == 0
    if max_tokens is not None and not whole:
        n_chosen = max(1, min(n_full, max_tokens // block_size))
        chosen = np.linspace(0, n_full - 1, n_chosen).astype(int)
    for first in range(0, len(chosen), batch_size):
        starts = chosen[first : first + batch_size] * block_size
        places = starts[:, None] + np.arange(block_size)
        yield tokens[places], tokens[places + 1]
    rest = n_full * block_size
    if whole and rest < len(tokens) - 1:
        yield tokens[None, rest:-1], tokens[None, rest + 1 :]
