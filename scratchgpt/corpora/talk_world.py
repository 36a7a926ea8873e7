"""The small world that the dialogues of `talk.py` are about: who has what, and where everything is.

Each event is told in a sentence and changes the state of the world. Three rules make sure that every question
has one right answer (`talk_questions.py`):

- a thing that a person has is where the person is, and moves with them;
- a person who puts a thing somewhere, or finds it there, is there;
- when one person gives a thing to another, both are in the same place.
"""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

WOMEN, MEN = ("Anna", "Clara", "Eva", "Hana"), ("Ben", "Dan", "Finn", "Gus")
PRONOUNS = dict.fromkeys(WOMEN, "she") | dict.fromkeys(MEN, "he")
THINGS = ("lamp", "key", "ball", "book", "cup", "hat", "map", "drum", "kite", "rope")
PLACES = ("kitchen", "garden", "attic", "cellar", "barn", "hall", "shed", "library")
FOODS = ("apples", "pears", "eggs", "nuts", "plums")
NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Dice:
    """Reproducible random choices: of `random.Random`, Python guarantees only the numbers of `random()`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def happens(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self._random() < probability

    def choose(self, options: Sequence[Item]) -> Item:
        """Return one of the options, each with equal probability."""
        return options[int(self._random() * len(options))]

    def some(self, options: Sequence[Item], n: int) -> list[Item]:
        """Return `n` different options in random order."""
        left = list(options)
        return [left.pop(int(self._random() * len(left))) for _ in range(n)]


class World:
    """A few people, things and places, and what is known about them.

    Attributes:
        people: the names of the people.
        things: the names of the things.
        places: where people and things can be.
        food: the food that people have a number of.
        place: the known places of people, and of things that nobody holds.
        holder: the person who has a thing.
        number: how many pieces of the food a person has.
    """

    def __init__(self, dice: Dice) -> None:
        self.people = dice.some(list(PRONOUNS), 3)
        self.things = dice.some(THINGS, 3)
        self.places = dice.some(PLACES, 3)
        self.food = dice.choose(FOODS)
        self.place: dict[str, str] = {}
        self.holder: dict[str, str] = {}
        self.number: dict[str, int] = {}

    def new_things(self) -> list[str]:
        """Return the things that have not been mentioned."""
        return [thing for thing in self.things if thing not in self.holder and thing not in self.place]

    def are_apart(self, one: str, other: str) -> bool:
        """Return whether two people are known to be in different places."""
        return len({self.place[who] for who in (one, other) if who in self.place}) == 2

    def held_by(self, who: str) -> list[str]:
        """Return the things that a person has."""
        return [thing for thing in self.things if self.holder.get(thing) == who]


# The events. Each function changes the world and returns the rest of the sentence after the person's name, or
# None if the event is impossible now.


def has(world: World, who: str, dice: Dice) -> str | None:
    """The person has a thing that was not mentioned before."""
    if not (things := world.new_things()):
        return None
    thing = dice.choose(things)
    world.holder[thing] = who
    return f"has the {thing}"


def finds(world: World, who: str, dice: Dice) -> str | None:
    """The person finds a thing where it lies, or a new one anywhere, and takes it."""
    lying = [thing for thing in world.things if thing in world.place]
    if not (things := [*world.new_things(), *lying]):
        return None
    thing = dice.choose(things)
    place = world.place.pop(thing, None) or dice.choose(world.places)
    world.holder[thing], world.place[who] = who, place
    return f"found the {thing} in the {place}"


def puts(world: World, who: str, dice: Dice) -> str | None:
    """The person puts down a thing that they have."""
    if not (things := world.held_by(who)):
        return None
    thing, place = dice.choose(things), dice.choose(world.places)
    del world.holder[thing]
    world.place[thing] = world.place[who] = place
    return f"put the {thing} in the {place}"


def gives(world: World, who: str, dice: Dice) -> str | None:
    """The person gives a thing that they have to someone who is not known to be elsewhere."""
    others = [each for each in world.people if each != who and not world.are_apart(each, who)]
    things = world.held_by(who)
    if not things or not others:
        return None
    thing, other = dice.choose(things), dice.choose(others)
    world.holder[thing] = other
    if (place := world.place.get(who) or world.place.get(other)) is not None:
        world.place[who] = world.place[other] = place
    return f"gave the {thing} to {other}"


def goes(world: World, who: str, dice: Dice) -> str:
    """The person goes to another place."""
    place = dice.choose([place for place in world.places if place != world.place.get(who)])
    world.place[who] = place
    return f"went to the {place}"


def counts(world: World, who: str, dice: Dice) -> str:
    """The person has some food; in later events they buy more or eat some of it."""
    had = world.number.get(who)
    if had is None:
        n = world.number[who] = 2 + dice.choose(range(5))
        return f"has {NUMBERS[n]} {world.food}"
    more = had < 2 or (had < 7 and dice.happens(0.5))
    n = 2 + dice.choose(range(min(3, 8 - had) if more else had - 1))
    world.number[who] += n if more else -n
    return f"{'bought' if more else 'ate'} {NUMBERS[n]} {world.food}"


EVENTS: Sequence[Callable[[World, str, Dice], str | None]] = (has, finds, puts, gives, goes, counts)


def tell(world: World, dice: Dice, n_sentences: int) -> str:
    """Let random events happen and return the sentences; a repeated subject becomes "She" or "He"."""
    sentences: list[str] = []
    before = None
    while len(sentences) < n_sentences:
        who = before if before and dice.happens(0.5) else dice.choose(world.people)
        done = dice.choose(EVENTS)(world, who, dice)
        if done is not None:
            subject = PRONOUNS[who].capitalize() if who == before else who
            sentences.append(f"{subject} {done}.")
            before = who
    return " ".join(sentences)
