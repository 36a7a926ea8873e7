r"""Pre-tokenization: splitting text into chunks before bytes are merged; no token spans two chunks.

The patterns are for the package `regex`. Its `\s` is Unicode's White_Space, as in Rust (tiktoken) and
Oniguruma (Hugging Face tokenizers); Python's `re` includes U+001C to U+001F as well. Its `\p{L}` and `\p{N}`
follow the Unicode version that it was built with; a program with an older one may split the newest letters
differently.
"""

import regex

from scratchgpt.errors import InputError
from scratchgpt.utils.validation import nearest

# Contractions; words, numbers and symbols, each with the space before it; white space, except its last
# character if a word follows.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# GPT-4's pattern (cl100k): contractions in any case; any one symbol may precede a word; digits in groups of
# up to three; newlines stay with the symbols before them. `\s++$`: white space at the end of a text is one
# chunk, newlines included, as in tiktoken 0.14; other copies of this pattern lack it. Engines disagree on
# whether `$` also matches before a final newline, but the possessive `++` gives no newline back, so here it
# can only be the end.
GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)

PATTERNS = {"gpt2": GPT2, "gpt4": GPT4}


def pattern_named(name_or_regex: str) -> str:
    """Return the pattern called "gpt2" or "gpt4" (in any case), or the given regular expression itself.

    A string of only letters, digits, _ and - is taken for a name: as a regular expression it would match only
    itself.

    Raises:
        InputError: an unknown name, or a regular expression that cannot split text.
    """
    if name_or_regex.lower() in PATTERNS:
        return PATTERNS[name_or_regex.lower()]
    if regex.fullmatch(r"[\w-]+", name_or_regex):
        raise InputError(
            f"split pattern is {name_or_regex!r}, which is not a known name"
            f"{nearest(name_or_regex.lower(), PATTERNS)}"
        )
    compile_pattern(name_or_regex)
    return name_or_regex


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Return the compiled regular expression.

    Raises:
        InputError: it is invalid, or it matches the empty string.
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
    """Return the chunks of a text: the matches of a pattern, and the text between matches.

    The chunks joined are always the text, whatever the pattern.
    """
    if not pattern.groups:  # with groups, findall returns their matches instead
        chunks = pattern.findall(text)
        if sum(map(len, chunks)) == len(text) and all(chunks):
            return chunks
    chunks, end = [], 0
    for match in pattern.finditer(text):
        chunks += [text[end : match.start()], match[0]]
        end = match.end()
    return [chunk for chunk in [*chunks, text[end:]] if chunk]
