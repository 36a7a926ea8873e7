"""Settings that name tokens by their text, as token ids."""

from collections.abc import Mapping, Sequence

from scratchgpt.errors import InputError
from scratchgpt.tokenizers import Tokenizer


def biases_by_id(
    biases: Mapping[int | str, float], vocab_size: int, tokenizer: Tokenizer | None
) -> dict[int, float]:
    """Return `logit_bias` with every token as an id; if id and text name one token, their biases add up.

    Raises:
        InputError: if a text is not exactly one token, or an id does not exist.
    """
    found: dict[int, float] = {}
    for token, bias in biases.items():
        ids = _encoded("logit_bias", token, tokenizer) if isinstance(token, str) else [token]
        if len(ids) != 1:
            raise InputError(
                f"generation.logit_bias: {token!r} is {len(ids)} tokens, {ids}; expected the text of one "
                "token, or an id"
            )
        _check("logit_bias", ids, vocab_size)
        found[ids[0]] = found.get(ids[0], 0.0) + bias
    return found


def banned_sequences(texts: Sequence[str], vocab_size: int, tokenizer: Tokenizer | None) -> list[list[int]]:
    """Return the token ids of each text of `banned`; a special token's name stands for the token.

    Raises:
        InputError: if a text cannot be encoded.
    """
    sequences = [_encoded("banned", text, tokenizer) for text in texts]
    for ids in sequences:
        _check("banned", ids, vocab_size)
    return sequences


def _encoded(setting: str, text: str, tokenizer: Tokenizer | None) -> list[int]:
    if tokenizer is None:
        instead = "token ids" if setting == "logit_bias" else "LanguageModel.generate, which has a tokenizer"
        raise InputError(f"generation.{setting} has the text {text!r} but no tokenizer; use {instead}")
    try:
        return tokenizer.encode(text, allow_special=True).tolist()
    except InputError as error:
        raise InputError(f"generation.{setting}: {error}") from None


def _check(setting: str, ids: Sequence[int], vocab_size: int) -> None:
    for i in ids:
        if not 0 <= i < vocab_size:
            raise InputError(f"generation.{setting}: token id is {i}; expected 0 to {vocab_size - 1}")
