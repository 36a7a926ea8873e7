"""How GPT-2's files write bytes as text: every byte has a visible character."""


def _letters() -> list[str]:
    """Return the visible character that stands for each byte.

    A byte that is a visible character of Latin-1 stands for itself; the others get, in their order, the
    characters from U+0100 on. So a space is Ġ (U+0120) and a newline is Ċ (U+010A).
    """
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


LETTERS = _letters()


BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}


def letters_of(token: bytes) -> str:
    """Return how the files write a token, e.g. "Ġthe" for b" the"."""
    return "".join(LETTERS[byte] for byte in token)


def bytes_of(letters: str) -> bytes | None:
    """Return the token that the files write so, or None if it is not written with these letters."""
    try:
        return bytes(BYTES[letter] for letter in letters)
    except KeyError:
        return None
