"""Text to its bytes in UTF-8, which can hold every character but no half of one."""

from scratchgpt.errors import InputError


def utf8_bytes(text: str) -> bytes:
    """Return the UTF-8 of a text.

    Raises:
        InputError: half of a surrogate pair, which is no character.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        at = error.start
        raise InputError(
            f"character {text[at]!r} at offset {at} is half of a surrogate pair; "
            "expected text that UTF-8 can hold"
        ) from None
