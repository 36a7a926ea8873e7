"""Numbers and lists as readable text."""

from collections.abc import Iterable


def counted(n: int, noun: str) -> str:
    """Return a count with its noun: "1 token", "2,000 tokens"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def compact(n: int) -> str:
    """Return a number with one decimal and a unit: 2304000 becomes "2.3M"."""
    size, power = float(n), 0
    while size >= 999.5 and power < 4:
        size, power = size / 1000, power + 1
    return f"{size:.1f}{' kMGT'[power]}" if power else str(n)


def memory_size(n_bytes: int) -> str:
    """Return a number of bytes in GiB, or in MiB if it is less than one GiB: "1.5 GiB", "0.3 MiB"."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MiB"


def any_of(choices: Iterable[str]) -> str:
    """Return a list of choices: "a", "a or b", "a, b or c"."""
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last
