"""Texts on which tokenizers tend to disagree."""

import random
import sys
import unicodedata
from collections.abc import Callable

# The characters of Python's Unicode version; newer letters may be unknown to programs with an older version.
CHARACTERS = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co") or code in (0xE000, 0xF8FF, 0x10FFFD)
]
SPACES = [character for character in CHARACTERS if character.isspace()] + list("\u200b\u180e\ufeff")
COMBINING = [character for character in CHARACTERS if unicodedata.combining(character)]
NUMBERS = [character for character in CHARACTERS if unicodedata.category(character)[0] == "N"]
RIGHT_TO_LEFT = [character for character in CHARACTERS if unicodedata.bidirectional(character) in ("R", "AL")]
PLANES = [
    [character for character in CHARACTERS if ord(character) >> 16 == plane] for plane in (0, 1, 2, 3, 14)
]
EMOJI = ["👩‍👩‍👧‍👦", "👍🏽", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "❤️‍🔥", "🇻🇳", "1️⃣", "🧑🏿‍🚀", "😀", "☃︎"]
CODE = [
    "def f(x):\n    return x**2\n",
    "\tif (a && b) {\r\n",
    "x = {'a': [1, 2.5e-3]}",
    '<div class="a">',
    "// €",
    "a_b.c->d",
]
WORDS = "the of Straße don't naïve xin chào kính日本語 Ünïcödé ﬁne ＡＢＣ ǆ İstanbul ſ ß K Å".split()  # noqa: SIM905
CONTRACTIONS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'Ve", "'m", "'LL", "'d", "'ſ", "’s", "''s", "'", "'sx"]


def _kinds(rng: random.Random) -> list[Callable[[], str]]:
    def several(characters: list[str], most: int = 8) -> str:
        return "".join(rng.choices(characters, k=rng.randint(1, most)))

    return [
        lambda: several(rng.choice(PLANES)),
        lambda: several(EMOJI, 3),
        lambda: rng.choice(CODE),
        lambda: several(SPACES),
        lambda: several([" ", " ", "\n", "\t", "\r\n"], 12),
        lambda: several([chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]),
        lambda: rng.choice("aeio ") + several(COMBINING),
        lambda: several(RIGHT_TO_LEFT) + " " + several(RIGHT_TO_LEFT),
        lambda: rng.choice("a =-.0日 \n") * rng.randint(1, 300),
        lambda: rng.choice(WORDS) + rng.choice(CONTRACTIONS),
        lambda: several(NUMBERS) + str(rng.randint(0, 10**12)),
        lambda: " ".join(rng.choices(WORDS, k=5)),
    ]


def varied_texts(count: int, seed: int) -> list[str]:
    """Return random texts that mix all planes, emoji, code, white space, marks, numbers and contractions."""
    rng = random.Random(seed)
    kinds = _kinds(rng)
    return ["".join(rng.choice(kinds)() for _ in range(rng.randint(1, 8))) for _ in range(count)]
