"""Encoding text as UTF-8, which can represent every character but not a lone surrogate."""

from scratchgpt.errors import InputError


def utf8_bytes(text: str) -> bytes:
    """Return the UTF-8 bytes of a text.

    Raises:
        InputError: a lone surrogate, which is not a character.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        at = error.start
        raise InputError(
            f"lone surrogate {text[at]!r} at offset {at}, which UTF-8 cannot represent; remove or replace it"
        ) from None
