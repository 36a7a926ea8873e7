r"""How text is cut into chunks before its bytes are merged: no token reaches from one chunk into the next.

The patterns are for the package `regex`. Its `\s` is Unicode's White_Space, as in Rust (tiktoken) and in
Oniguruma (Hugging Face tokenizers); Python's own `re` counts U+001C to U+001F, too. Its `\p{L}` and `\p{N}`
follow the version of Unicode that it was built with: letters newer than another program's version may be cut
differently there.
"""

import regex

from scratchgpt.errors import InputError
from scratchgpt.utils.validation import nearest

# Contractions; words, numbers and other signs, each with the space before it; white space, which leaves its
# last character to what follows.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# GPT-4's, called cl100k: contractions in capitals, too; any sign may lead a word; digits by threes; line ends
# stay with what is before them. `\s++$`: white space that ends a text is one chunk, line ends and all, as in
# tiktoken 0.14; other copies of this pattern lack it. Engines disagree whether `$` is also the place before a
# newline, but `++` gives no newline back, so here it can only be the end.
GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)

PATTERNS = {"gpt2": GPT2, "gpt4": GPT4}


def pattern_named(name_or_regex: str) -> str:
    """Return the pattern called "gpt2" or "gpt4", or the regular expression that was given instead of a name.

    What is written like a name is one, in capitals or not: as a regular expression it would match but itself.

    Raises:
        InputError: neither a name nor a regular expression that can split text.
    """
    if name_or_regex.lower() in PATTERNS:
        return PATTERNS[name_or_regex.lower()]
    if regex.fullmatch(r"[\w-]+", name_or_regex):
        raise InputError(
            f"split pattern is {name_or_regex!r}, a name and no regular expression"
            f"{nearest(name_or_regex.lower(), PATTERNS)}"
        )
    compile_pattern(name_or_regex)
    return name_or_regex


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Return the compiled regular expression.

    Raises:
        InputError: it is none, or it matches the empty string.
    """
    try:
        compiled = regex.compile(pattern)
    except (regex.error, ValueError, RecursionError) as error:
        raise InputError(
            f"split pattern is {pattern!r}; expected {', '.join(PATTERNS)} or a regular expression ({error})"
        ) from None
    if compiled.match(""):
        raise InputError(
            f"split pattern is {pattern!r}, which matches the empty string; expected one that matches text"
        )
    return compiled


def split(pattern: regex.Pattern[str], text: str) -> list[str]:
    """Return the chunks of a text: the matches of a pattern, and what is between two matches.

    So nothing is lost, whatever the pattern: joined, the chunks are the text.
    """
    if not pattern.groups:  # findall would return what these have matched
        chunks = pattern.findall(text)
        if sum(map(len, chunks)) == len(text) and all(chunks):
            return chunks
    chunks, end = [], 0
    for match in pattern.finditer(text):
        chunks += [text[end : match.start()], match[0]]
        end = match.end()
    return [chunk for chunk in [*chunks, text[end:]] if chunk]
