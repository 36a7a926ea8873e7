"""AdamW's update by several threads, a block at a time."""

from scratchgpt.ops import adamw
from scratchgpt.parallel import Workers

BLOCK = 1 << 18  # elements updated at a time, so that the temporaries stay in cache
PARTS = 8  # of the vectors, for as many threads at most


def update(step: adamw.Update, workers: Workers) -> None:
    """Update w, m and v in place."""
    size = step.w.size
    part = max(BLOCK, -(-size // PARTS))

    def update_part(first: int) -> None:
        last = min(first + part, size)
        for start in range(first, last, BLOCK):
            adamw.update(step, start, min(start + BLOCK, last))

    workers.map(update_part, range(0, size, part))
