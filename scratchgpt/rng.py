"""Random numbers for training."""

import numpy as np


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Return the generator of one training step: it draws the batch, then the dropout masks.

    It is counter-based (Philox, keyed by seed and step), so step 1000 needs no knowledge of the
    999 before it: a resumed run draws what the uninterrupted one would have drawn. Source:
    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
    """
    return np.random.Generator(np.random.Philox(key=np.array([seed, step], dtype=np.uint64)))
