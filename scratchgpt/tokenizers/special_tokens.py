"""Special tokens: the names that the project uses, which names are allowed, and finding them in a text."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from scratchgpt.errors import InputError

PAD, UNK, BOS, EOS, SEP, END_OF_TEXT = "<pad>", "<unk>", "<s>", "</s>", "<sep>", "<|endoftext|>"


def check_names(names: Sequence[str], existing: Collection[str] = ()) -> None:
    """Check that the names of new special tokens are distinct and have at least two characters.

    A name of one character would be indistinguishable from ordinary text.

    Args:
        names: the names of the new tokens.
        existing: the names of the special tokens that the tokenizer already has.

    Raises:
        InputError: a name is shorter, occurs twice or exists already.
    """
    for name in names:
        if name in existing:
            raise InputError(f"the tokenizer already has the special token {name!r}; leave it out")
        if len(name) < 2:
            raise InputError(f"the name of a special token is {name!r}; expected at least two characters")
        if names.count(name) > 1:
            raise InputError(f"special token {name!r} is listed {names.count(name)} times; list it once")


def names_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern for `split_at_names`: it matches any of the names, and the longest that fits.

    Without names it matches nothing.
    """
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")


def split_at_names(text: str, pattern: re.Pattern[str] | None) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text in order as pairs (part, is_name), cut around the names of special tokens.

    A part is either one name, or the text up to the next name or the end. No part is empty, and the parts
    joined are the text. With the name `<sep>`, "a<sep>b" yields ("a", False), ("<sep>", True), ("b", False).

    Args:
        text: any text; an empty one yields nothing.
        pattern: what `names_pattern` returned; None: treat names as ordinary text.
    """
    parts = [text] if pattern is None else pattern.split(text)  # text and names alternate
    for i, part in enumerate(parts):
        if part:
            yield part, i % 2 == 1
