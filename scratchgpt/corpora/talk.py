"""Dialogues about a small world, in which most answers follow from earlier turns.

The user says what people did with things and where, and asks questions; the bot answers. A model that has
learned only what answers look like gets few of them right: it has to find in the earlier turns who took the
lamp, and where they went with it. Greetings and other small talk have several right replies.

    User: Ben found the lamp in the attic. He went to the garden. Where is the lamp?
    Bot: Ben has it in the garden.
"""

from collections.abc import Iterator

from scratchgpt.corpora.corpus import Corpus
from scratchgpt.corpora.dialogue import dialogue_corpus
from scratchgpt.corpora.talk_questions import UNKNOWN, Question, questions
from scratchgpt.corpora.talk_world import Dice, World, tell
from scratchgpt.errors import InputError

MAX_CHARACTERS = 400  # of a dialogue, " User:" and " Bot:" included
OPENINGS = {
    "Hello.": ["Hello.", "Hello to you.", "Hello. What is new?"],
    "Good morning.": ["Good morning.", "Good morning to you."],
    "How are you?": ["Very well, thank you.", "Fine, thank you.", "Fine. What is new?"],
    "Can I tell you something?": ["Please do.", "Of course.", "I am listening."],
}
CLOSINGS = {
    "Thank you.": ["You are welcome.", "Not at all."],
    "Goodbye.": ["Goodbye.", "Goodbye, and come back soon."],
    "That was all.": ["Thank you for telling me.", "Come back soon."],
}
ACKNOWLEDGMENTS = ["I see.", "All right.", "Good to know."]


def dialogue(dice: Dice) -> list[str]:
    """Return the turns of a random dialogue, which may be longer than MAX_CHARACTERS."""
    world = World(dice)
    turns: list[str] = []
    asked: set[Question] = set()
    if dice.happens(0.25):
        turns += _small_talk(OPENINGS, dice)
    for _ in range(2 + dice.choose(range(2))):
        told = tell(world, dice, n_sentences=1 + dice.choose(range(2)))
        question = _question(world, dice, asked)
        if dice.happens(0.8):
            turns += [f"{told} {question.text}", question.answer]
        else:
            turns += [told, dice.choose(ACKNOWLEDGMENTS), *question]
        if dice.happens(0.4):
            turns += _question(world, dice, asked)
    if dice.happens(0.25):
        turns += _small_talk(CLOSINGS, dice)
    return turns


def length(turns: list[str]) -> int:
    """Return the number of characters of a dialogue as `dialogue.py` writes it, without special tokens."""
    return sum(len(f" {turn}") for turn in turns) + len(" User: Bot:") * len(turns) // 2


def dialogues(n: int, seed: int) -> Iterator[list[str]]:
    """Yield `n` distinct dialogues of at most MAX_CHARACTERS each; the same for the same seed."""
    dice = Dice(seed)
    seen: set[tuple[str, ...]] = set()
    while len(seen) < n:
        turns = dialogue(dice)
        if length(turns) <= MAX_CHARACTERS and tuple(turns) not in seen:
            seen.add(tuple(turns))
            yield turns


def corpus(n_dialogues: int = 12_000, seed: int = 0, bot_only: bool = False) -> Corpus:
    """Return a corpus of random dialogues, the same for the same seed on every machine.

    A longer corpus begins with the dialogues of a shorter one.

    Args:
        n_dialogues: number of dialogues; each is a separate example.
        seed: selects the dialogues.
        bot_only: whether only the bot's turns count in the loss.

    Raises:
        InputError: fewer than one dialogue, or a negative seed.
    """
    if n_dialogues < 1:
        raise InputError(f"the number of dialogues is {n_dialogues}; expected at least 1")
    if seed < 0:
        raise InputError(f"the seed of the dialogues is {seed}; expected at least 0")
    return dialogue_corpus("talk", lambda: dialogues(n_dialogues, seed), bot_only)


def _question(world: World, dice: Dice, asked: set[Question]) -> Question:
    """Return a question that has not had this answer before; only a few have the answer UNKNOWN."""
    kinds = [[each for each in kind if each not in asked] for kind in questions(world).values()]
    known = [[each for each in kind if each.answer != UNKNOWN] for kind in kinds]
    unknown = [[each for each in kind if each.answer == UNKNOWN] for kind in kinds]
    preferred = (unknown, known) if dice.happens(0.1) else (known, unknown)
    choice = next(kinds for kinds in preferred if any(kinds))
    question = dice.choose(dice.choose([kind for kind in choice if kind]))
    asked.add(question)
    return question


def _small_talk(talk: dict[str, list[str]], dice: Dice) -> list[str]:
    said = dice.choose(list(talk))
    return [said, dice.choose(talk[said])]
