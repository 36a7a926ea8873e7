"""GPT-2's byte-to-unicode mapping (`bytes_to_unicode`): its files write every byte as a visible character."""


def _letters() -> list[str]:
    """Return the visible character that stands for each byte.

    Bytes that are visible Latin-1 characters stand for themselves; the others map, in order, to the
    characters from U+0100 on. A space becomes Ġ (U+0120), a newline Ċ (U+010A).
    """
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


LETTERS = _letters()  # by byte
BYTE_OF_LETTER = {letter: byte for byte, letter in enumerate(LETTERS)}


def letters_of(token: bytes) -> str:
    """Return a token as the files write it, e.g. "Ġthe" for b" the"."""
    return "".join(LETTERS[byte] for byte in token)


def bytes_of(letters: str) -> bytes | None:
    """Return the bytes of a token from a file, or None if it has a character that stands for no byte."""
    try:
        return bytes(BYTE_OF_LETTER[letter] for letter in letters)
    except KeyError:
        return None
