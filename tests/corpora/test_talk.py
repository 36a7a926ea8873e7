"""The built-in dialogues: an independent reader follows each of them and checks the bot's answers."""

import hashlib
import re
from collections import Counter

import pytest

from scratchgpt.corpora import builtin
from scratchgpt.corpora.sources import open_corpus
from scratchgpt.corpora.talk import (
    ACKNOWLEDGMENTS,
    CLOSINGS,
    MAX_CHARACTERS,
    OPENINGS,
    corpus,
    dialogues,
    length,
)
from scratchgpt.corpora.talk_questions import UNKNOWN
from scratchgpt.corpora.talk_world import FOODS, NUMBERS, PLACES, PRONOUNS, THINGS
from scratchgpt.errors import InputError

SMALL_TALK = OPENINGS | CLOSINGS
WOMEN = {"Anna", "Clara", "Eva", "Hana"}


class Reader:
    """Parses dialogues with regular expressions and tracks where things are; one may be "in" a person."""

    def __init__(self) -> None:
        self.inside: dict[str, str] = {}
        self.number: dict[str, int] = {}

    def hear(self, sentence: str) -> None:
        """Update the state by a sentence, which must be consistent with the earlier ones."""
        inside = self.inside
        for pattern in (
            r"(?P<who>\w+) has the (?P<thing>\w+)\.",
            r"(?P<who>\w+) found the (?P<thing>\w+) in the (?P<place>\w+)\.",
            r"(?P<who>\w+) put the (?P<left>\w+) in the (?P<place>\w+)\.",
            r"(?P<who>\w+) gave the (?P<given>\w+) to (?P<other>\w+)\.",
            r"(?P<who>\w+) went to the (?P<place>\w+)\.",
            r"(?P<who>\w+) (?P<verb>has|bought|ate) (?P<number>\w+) (?P<food>\w+)\.",
        ):
            if found := re.fullmatch(pattern, sentence):
                break
        else:
            raise AssertionError(sentence)
        said = found.groupdict()
        who, place = said["who"], said.get("place")
        if thing := said.get("thing"):
            assert inside.get(thing) == (place if thing in inside else None)
            inside[thing] = who
        if thing := said.get("left"):
            assert inside[thing] == who
            inside[thing] = said["place"]
        if thing := said.get("given"):
            assert inside[thing] == who != said["other"]
            places = {inside[each] for each in (who, said["other"]) if each in inside}
            assert len(places) < 2, "they cannot meet"
            inside.update({each: place for place in places for each in (who, said["other"])})
            inside[thing] = said["other"]
        if " went " in sentence:
            assert inside.get(who) != place
        if place:
            inside[who] = place
        if said.get("verb"):
            sign = {"has": 0, "bought": 1, "ate": -1}[said["verb"]]
            assert (who in self.number) == bool(sign)
            self.number[who] = self.number.get(who, 0) + (sign or 1) * NUMBERS.index(said["number"])
            assert 0 <= self.number[who] < len(NUMBERS)

    def answer(self, question: str) -> str:
        """Return the right answer to a question."""
        words = question.rstrip("?").replace(" the ", " ").split()
        match words:
            case ["How", "many", _, "does", who, "have"]:
                known = who in self.number and f"{pronoun(who)} has {NUMBERS[self.number[who]]}."
            case ["Where", "is", who] if who[0].isupper():
                known = who in self.inside and f"{pronoun(who)} is in the {self.inside[who]}."
            case ["Where", "is", thing]:
                known = thing in self.inside and self._where_is(thing)
            case ["Who", "has", thing]:
                known = thing in self.inside and self._where_is(thing, "Nobody. It", place_of_holder=False)
            case ["Is", who, "in", place]:
                here = self.inside.get(who)
                yes, no = f"Yes, {pronoun(who).lower()} is.", f"No, {pronoun(who).lower()} is in the {here}."
                known = here is not None and (yes if here == place else no)
            case ["Does", who, "have", thing]:
                he_has = f"Yes, {pronoun(who).lower()} has it."
                no = thing in self.inside and "No, " + self._where_is(thing, "it", place_of_holder=False)
                known = he_has if self.inside.get(thing) == who else no
            case _:
                raise AssertionError(question)
        return known or UNKNOWN

    def _where_is(self, thing: str, it: str = "It", place_of_holder: bool = True) -> str:
        place = self.inside[thing]
        if place.islower():
            return f"{it} is in the {place}."
        further = f" in the {self.inside[place]}" if place_of_holder and place in self.inside else ""
        return f"{place} has it{further}."


def pronoun(who: str) -> str:
    return "She" if who in WOMEN else "He"


def is_right(turns: list[str]) -> bool:
    """Return whether every reply of the bot fits what the user has said."""
    reader = Reader()
    for said, reply in zip(turns[::2], turns[1::2], strict=True):
        if said in SMALL_TALK:
            if reply not in SMALL_TALK[said]:
                return False
            continue
        subject = ""
        *told, last = re.findall(r"\S[^.?]*[.?]", said)
        for sentence in [*told, last] if last.endswith(".") else told:
            first, rest = sentence.split(" ", 1)
            assert first not in ("She", "He") or first == pronoun(subject)
            subject = subject if first in ("She", "He") else first
            reader.hear(f"{subject} {rest}")
        if reply not in ACKNOWLEDGMENTS if last.endswith(".") else reply != reader.answer(last):
            return False
    return True


@pytest.fixture(scope="module")
def talk() -> list[list[str]]:
    return list(dialogues(3000, seed=0))


def test_every_answer_follows_from_what_was_said(talk: list[list[str]]) -> None:
    assert all(is_right(turns) for turns in talk)


def test_a_wrong_answer_would_be_detected(talk: list[list[str]]) -> None:
    """A reply from another dialogue is right only if it is the same, or small talk of the same kind."""
    for turns, other in zip(talk[:200], talk[200:], strict=False):
        for place in range(1, len(turns), 2):
            wrong = [*turns[:place], "He has forty.", *turns[place + 1 :]]
            assert not is_right(wrong)
            swapped = [*turns[:place], other[1], *turns[place + 1 :]]
            same_kind = [ACKNOWLEDGMENTS, *SMALL_TALK.values()]
            may_be = [turns[place]] + [each for kind in same_kind if turns[place] in kind for each in kind]
            assert is_right(swapped) == (other[1] in may_be)


def test_all_dialogues_differ_and_are_short(talk: list[list[str]]) -> None:
    assert len({tuple(turns) for turns in talk}) == len(talk)
    assert max(map(length, talk)) <= MAX_CHARACTERS
    assert all(len(turns) % 2 == 0 and len(turns) >= 4 for turns in talk)


def test_everything_occurs_and_most_replies_have_one_right_wording(talk: list[list[str]]) -> None:
    words = set(re.findall(r"\w+", " ".join(" ".join(turns) for turns in talk)))
    assert {*THINGS, *PLACES, *FOODS, *NUMBERS, *PRONOUNS, "Nobody", "Yes", "No"} <= words
    assert len(words) < 120
    said = Counter(reply for turns in talk for reply in turns[1::2])
    free = {reply for kind in (ACKNOWLEDGMENTS, *SMALL_TALK.values()) for reply in kind}
    assert sum(n for reply, n in said.items() if reply in free) < 0.25 * said.total()
    assert 0.04 < said[UNKNOWN] / said.total() < 0.15


def test_the_same_seed_gives_the_same_dialogues_and_longer_lists_begin_with_shorter_ones(
    talk: list[list[str]],
) -> None:
    assert list(dialogues(50, seed=0)) == talk[:50]
    assert not {tuple(turns) for turns in dialogues(50, seed=1)} & {tuple(turns) for turns in talk[:50]}


def test_the_first_hundred_dialogues_never_change(talk: list[list[str]]) -> None:
    digest = hashlib.sha256("\n".join("\n".join(turns) for turns in talk[:100]).encode()).hexdigest()
    assert digest == "60c05239386c538ca5c596b3bd1eecfed9b573aa67620c65d3a041cdab25d5ec"


def test_the_written_length_is_that_of_the_pieces(talk: list[list[str]]) -> None:
    pieces = corpus(20).pieces()
    written = "".join(piece.text if not piece.special else "\n"[: piece.ends] for piece in pieces)
    assert [len(line) for line in written.splitlines()] == [length(turns) for turns in talk[:20]]


def test_talk_is_a_built_in_text_of_dialogues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "TALK_DIALOGUES", 3)
    both, bot = (open_corpus("talk", bot_only=bot_only) for bot_only in (False, True))
    assert (bot.padded, bot.bos, bot.eos) == (True, "<s>", ("</s>", "<sep>"))
    assert [piece.text for piece in both.pieces()] == [piece.text for piece in bot.pieces()]
    assert all(piece.in_loss for piece in both.pieces())
    first = next(dialogues(1, seed=0))
    learned = [piece.text for piece in bot.pieces() if piece.in_loss and not piece.special]
    assert learned[: len(first) // 2] == [f" {turn}" for turn in first[1::2]]
    assert sum(piece.ends for piece in bot.pieces()) == 3


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (1, -1)])
def test_impossible_corpora_are_refused(n: int, seed: int) -> None:
    with pytest.raises(InputError, match="expected at least"):
        corpus(n, seed)
