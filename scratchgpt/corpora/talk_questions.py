"""The questions about the small world of `talk.py`, and their answers."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from scratchgpt.corpora.talk_world import NUMBERS, PRONOUNS, World

UNKNOWN = "I don't know."  # the answer if the dialogue has not mentioned it


class Question(NamedTuple):
    """A question and its one answer."""

    text: str
    answer: str


def questions(world: World) -> Mapping[str, list[Question]]:
    """Return every possible question, grouped by kind."""
    return {
        "where is a thing": [Question(f"Where is the {each}?", _where(world, each)) for each in world.things],
        "who has a thing": [Question(f"Who has the {each}?", _who(world, each)) for each in world.things],
        "where is a person": [Question(f"Where is {who}?", _place(world, who)) for who in world.people],
        "how many": list(_how_many(world)),
        "is a person there": list(_is_there(world)),
        "does a person have a thing": list(_has_it(world)),
    }


def _where(world: World, thing: str) -> str:
    if thing in world.place:
        return f"It is in the {world.place[thing]}."
    who = world.holder.get(thing)
    if who is None:
        return UNKNOWN
    return f"{who} has it in the {world.place[who]}." if who in world.place else f"{who} has it."


def _who(world: World, thing: str) -> str:
    if thing in world.place:
        return f"Nobody. It is in the {world.place[thing]}."
    who = world.holder.get(thing)
    return UNKNOWN if who is None else f"{who} has it."


def _place(world: World, who: str) -> str:
    place = world.place.get(who)
    return UNKNOWN if place is None else f"{PRONOUNS[who].capitalize()} is in the {place}."


def _how_many(world: World) -> Iterator[Question]:
    for who in world.people:
        number = world.number.get(who)
        answer = UNKNOWN if number is None else f"{PRONOUNS[who].capitalize()} has {NUMBERS[number]}."
        yield Question(f"How many {world.food} does {who} have?", answer)


def _is_there(world: World) -> Iterator[Question]:
    for who in world.people:
        for place in world.places:
            real = world.place.get(who)
            no = UNKNOWN if real is None else f"No, {PRONOUNS[who]} is in the {real}."
            yield Question(f"Is {who} in the {place}?", f"Yes, {PRONOUNS[who]} is." if real == place else no)


def _has_it(world: World) -> Iterator[Question]:
    for thing in world.things:
        holder, place = world.holder.get(thing), world.place.get(thing)
        no = f"No, it is in the {place}." if place else f"No, {holder} has it." if holder else UNKNOWN
        for who in world.people:
            yes = f"Yes, {PRONOUNS[who]} has it."
            yield Question(f"Does {who} have the {thing}?", yes if who == holder else no)
