"""Numbers in words."""


def counted(n: int, noun: str) -> str:
    """Return a number of things in words: "1 token", "2,000 tokens"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
