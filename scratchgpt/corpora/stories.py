"""The grammar of the built-in stories: heroes, places, reasons and outcomes.

A rule maps a nonterminal to its alternatives: a list if they are equally likely, otherwise a mapping to
probabilities. In the alternatives, [brackets] are nonterminals and {braces} are slots. Slots are filled
before the grammar is used, which only makes it larger, and they keep a story consistent: every hero has its
own copy of the rules, in which {name} and {they} refer to that hero, and an alternative that mentions a
thing, a friend or the weather twice mentions the same one twice. When you change a rule, no alternative may
be a prefix of another ("a fox" and "a fox who sang"): write the common text once, followed by a nonterminal
that either ends the sentence or continues it.
"""

from collections.abc import Iterable, Mapping

Slots = Mapping[str, str]
Rule = list[str] | dict[str, float]

SHE = {"They": "She", "they": "she", "their": "her", "them": "her"}
HE = {"They": "He", "they": "he", "their": "his", "them": "him"}
IT = {"They": "It", "they": "it", "their": "its", "them": "it"}
PRONOUNS = [SHE, HE, IT]

HEROES = [
    {"name": name, "kind": kind} | pronoun
    for pronoun, cast in [
        (SHE, "Mila the hedgehog, Tilda the goose, Rosa the otter, Greta the goat, Ida the mole"),
        (HE, "Otto the bear, Bruno the badger, Felix the fox, Hugo the heron, Linus the hare"),
        (IT, "Crumb the robot, Wisp the ghost, Nub the dragon"),
    ]
    for name, kind in [member.split(" the ") for member in cast.split(", ")]
]
FRIENDS = [{"friend": hero["name"], "friend kind": hero["kind"]} for hero in HEROES]

THINGS = [
    {"thing": noun, "a thing": f"{article} {noun}"}
    for article, nouns in [
        ("a", "brass key, red kite, trumpet, left boot, teapot, wooden spoon, pocket watch, paper boat, wig"),
        ("an", "umbrella, almanac, accordion, oil can, eggcup"),
    ]
    for noun in nouns.split(", ")
]

WEATHERS = [
    {"weather": "rain fell on the roofs", "over": "the rain had stopped"},
    {"weather": "snow lay on the hills", "over": "the snow had melted"},
    {"weather": "the wind shook the gates", "over": "the wind had died down"},
    {"weather": "fog hid the harbour", "over": "the fog had lifted"},
    {"weather": "the sun baked the road", "over": "the sun had set"},
    {"weather": "thunder shook the valley", "over": "the thunder had moved on"},
]

CONTAINERS = [{"container": noun} for noun in ["box", "sack", "barrel", "tin", "trunk", "basket", "jar"]]

WORDS: dict[str, Rule] = {
    name: words.split(", ")
    for name, words in {
        "time": "One morning, One evening, Long ago, Last year, On a Sunday, At noon, In May, Once",
        "mood": "happy, sad, cross, bored, hungry, proud, sleepy, worried, cheerful, lonely, dizzy",
        "doing": "laughing, yawning, singing, sneezing, humming, dancing, hopping, giggling, blushing",
        "verb": "dance, swim, whistle, read, fly, cook, juggle, yodel, skate, knit, spell, sail",
        "creature": "beetle, sparrow, frog, snail, kitten, moth, duck, crab, cricket, lizard, pigeon, rat",
        "food": "pancake, plum, pickle, dumpling, waffle, sausage, carrot, muffin, turnip, bun, egg",
        "job": "baker, miller, captain, queen, postman, teacher, gardener, clown, mayor, witch, judge",
        "trait": "old, young, tall, shy, grumpy, clever, sleepy, famous, bald, kind, noisy, retired",
        "furniture": "bed, stove, clock, piano, wardrobe, carpet, bathtub, sofa, cupboard, ladder, fridge",
        "place": "mill, bakery, station, lighthouse, orchard, library, pond, school, bridge, well, zoo",
        "belonging": "hat, slippers, drum, bicycle, toothbrush, violin, mirror, gloves, lantern, moustache",
        "colour": "red, blue, green, yellow, golden, striped, rusty, tiny, huge, wet, dusty, purple, crooked",
        "stuff": "jam, dust, feathers, moss, glitter, honey, flour, mud, cobwebs, paint, soap, sand",
        "day": "Monday, Tuesday, Friday, Easter, breakfast, yesterday, lunch, last week, winter",
        "number": "two, three, four, seven, nine, eleven, forty, a hundred, far too many, several",
        "exclamation": "At last, Hooray, How odd, What luck, Oh dear, Never mind, Splendid, Typical",
        "finally": "By then, In the end, Before long, That night, Soon, An hour later, By teatime",
        "crossly": "softly, crossly, proudly, in a whisper, at once, from the [furniture]",
    }.items()
}

PHRASES: dict[str, Rule] = {
    "story": [f"[story of {hero['name']}]" for hero in HEROES],
    "feeling": {"was [mood]": 0.6, "could not sleep": 0.2, "could not stop [doing]": 0.2},
    "person": {"[job]": 0.4, "[trait] [job]": 0.6},
    "many": ["[number] [creature]s", "[number] [food]s", "[number] [colour] [creature]s"],
    "where": ["under the [furniture]", "behind the [furniture]", "inside the [furniture]"],
    "near": ["near the [place]", "behind the [place]", "beyond the [place]"],
    "home": {
        "[near].": 0.6,
        "[near], next door to the [person].": 0.2,
        "[near], where the [person] kept [many].": 0.2,
    },
    "claim": {
        "the moon was made of [food]s": 0.2,
        "[creature]s could [verb]": 0.4,
        "the [place] was full of [many]": 0.2,
        "the [person] thought that [claim]": 0.1,
        "the [person] had heard from the [person] that [claim]": 0.1,
    },
    "search": {"[where] and found [junk].": 0.7, "[where], then [search]": 0.3},
    "junk": {"[many]": 0.5, "[stuff]": 0.3, "a sleepy [creature]": 0.2},
    "hint": ["Ask the [person]", "Look [where]", "Not since [day]", "I have only seen [many]"],
    "fate": {"as good as new.": 0.2, "covered in [stuff].": 0.4, "full of [many].": 0.4},
    "treasure": ["a sleepy [creature]", "[many]", "the smell of [food]s", "a letter from the [person]"],
    "offer": ["Have [number] [food]s!", "Mind the [creature]s!", "You look [mood]!", "Is it [day] already?"],
    "doubt": ["Nonsense!", "Who told you?", "I knew it!", "My aunt the [job] says so, too!", "Not again!"],
    "ask": {"who said [crossly] that [claim].": 0.7, "who asked the [person], [ask]": 0.3},
}

BY_PRONOUN: dict[str, Rule] = {
    "why {they}": {".": 0.4, " because [reason {they}]": 0.6},
    "reason {they}": {"[cause {they}].": 0.8, "[cause {they}], and because [reason {they}]": 0.2},
    "cause {they}": {
        "{they} had eaten [number] [food]s": 0.25,
        "{they} had forgotten how to [verb]": 0.2,
        "there were [many] [where]": 0.15,
        "the [person] had borrowed {their} [belonging]": 0.2,
        "the [person] had told {them} that [claim]": 0.2,
    },
    "inside {they}": {
        "In it was nothing but [treasure].": 0.5,
        "In it was a [colour] {container}. {They} opened it. [inside {they}] "
        "{They} closed the {container}.": 0.5,
    },
    "closing {they}": {
        "went home [doing].": 0.3,
        "fell asleep [where].": 0.2,
        "was [mood] again.": 0.3,
        "gave the [person] [many].": 0.2,
    },
}

BY_HERO: dict[str, Rule] = {
    "story of {name}": [
        "[time], while {weather}, {name} the {kind} [feeling][why {they}] [plot {name}] "
        "[finally] {over}, and {name} [closing {they}]"
    ],
    "plot {name}": ["[loss {name}]", "[visit {name}]", "[rumour {name}]", "[nest {name}]"],
    "loss {name}": [
        '{They} had lost {a thing}. {They} looked [search] "Where is my {thing}?" {they} asked the '
        '[person]. "[hint]," came the answer. But the {thing} lay [where], [fate]'
    ],
    "visit {name}": [
        "{They} went to see {friend} the {friend kind}, who lived [home] "
        '"[offer]" said {friend} [crossly]. {name} had brought [present for {friend}]'
    ],
    "present for {name}": ["{a thing}, and {they} put the {thing} [where]."],
    "rumour {name}": [
        '{They} met {friend} the {friend kind} [near]. "Did you know that [claim]?" asked {name} [crossly]. '
        '"[doubt]" said {friend}. So {they} asked the [person], [ask]'
    ],
    "nest {name}": [
        "Then {they} found a [colour] {container} [near]. {They} opened it. [inside {they}] "
        '{They} closed the {container}. "[exclamation]!" said {name} [crossly].'
    ],
}


def rules() -> dict[str, dict[str, float]]:
    """Return the rules with all slots filled: the alternatives of each nonterminal, with probabilities."""
    return _fill(WORDS | PHRASES, [{}]) | _fill(BY_PRONOUN, PRONOUNS) | _fill(BY_HERO, HEROES)


def _fill(rules: Mapping[str, Rule], fillings: Iterable[Slots]) -> dict[str, dict[str, float]]:
    """Return one copy of each rule for each filling of its slots."""
    filled: dict[str, dict[str, float]] = {}
    for slots in fillings:
        for name, rule in rules.items():
            shares = rule if isinstance(rule, Mapping) else dict.fromkeys(rule, 1 / len(rule))
            alternatives = filled[name.format_map(slots)] = {}
            for template, share in shares.items():
                versions = _versions(template, slots)
                alternatives |= dict.fromkeys(versions, share / len(versions))
    return filled


def _versions(template: str, slots: Slots) -> list[str]:
    """Return all ways to fill a template, one per choice of the thing, friend, etc. that it mentions."""
    versions: list[dict[str, str]] = [dict(slots)]
    for options in (WEATHERS, THINGS, CONTAINERS, FRIENDS):
        if any(f"{{{slot}}}" in template for slot in options[0]):
            versions = [known | option for known in versions for option in options]
    return [
        template.format_map(known)
        for known in versions
        if "friend" not in known or known["friend"] != known["name"]
    ]
