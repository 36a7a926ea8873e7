"""The rules of a context-free grammar: parsing, validation, and a proof that they are unambiguous."""

import math
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import NamedTuple

from scratchgpt.errors import InputError

MAX_COMPARISONS = 10_000  # pairs of partial derivations, per pair of alternatives, before giving up


class Alternative(NamedTuple):
    """One expansion of a nonterminal; symbols are strings of text and nonterminals such as "[weather]"."""

    probability: float
    symbols: tuple[str, ...]


Rules = Mapping[str, list[Alternative]]  # the alternatives of every nonterminal


def is_nonterminal(symbol: str) -> bool:
    """Return whether a symbol is a nonterminal; text never begins with a bracket."""
    return symbol.startswith("[")


def read_rules(rules: Mapping[str, Mapping[str, float]], start: str) -> Rules:
    """Parse every alternative into symbols; in the result, the start symbol comes first.

    Args:
        rules: every nonterminal's alternatives with their probabilities. In an alternative, a name in
            brackets is a nonterminal: {"greeting": {"Hello, [name]!": 0.9, "Hm.": 0.1}, "name": ...}.
        start: the nonterminal that derivations begin with.

    Raises:
        InputError: a nonterminal has no rule, an alternative is empty, probabilities are not positive or do
            not sum to 1, or a nonterminal is left-recursive.
    """
    if start not in rules:
        raise InputError(f"the grammar starts with [{start}], which has no rule; add one")
    read = {f"[{name}]": _alternatives(name, rules[name]) for name in dict.fromkeys([start, *rules])}
    for name, rule in read.items():
        for symbol in (symbol for _, symbols in rule for symbol in symbols):
            if is_nonterminal(symbol) and symbol not in read:
                raise InputError(f"the rule for {name} uses {symbol}, which has no rule; add one")
    _check_left_recursion(read)
    return read


def _alternatives(name: str, rule: Mapping[str, float]) -> list[Alternative]:
    total = math.fsum(rule.values())
    if abs(total - 1) > 1e-9 or min(rule.values()) <= 0:
        raise InputError(f"the probabilities of [{name}] sum to {total:g}; expected positive ones with sum 1")
    if "" in rule:
        raise InputError(f"[{name}] has an empty alternative; expected text or nonterminals in each")
    return [
        Alternative(probability, tuple(filter(None, re.split(r"(\[[^\]]*\])", text))))
        for text, probability in rule.items()
    ]


def _check_left_recursion(rules: Rules) -> None:
    """Raise InputError if first symbols lead from a nonterminal back to itself: parsing would never end."""
    firsts = {name: {symbols[0] for _, symbols in rule} for name, rule in rules.items()}
    try:
        TopologicalSorter(firsts).prepare()
    except CycleError as error:
        path = " -> ".join(error.args[1][::-1])
        raise InputError(f"a nonterminal is left-recursive ({path}); put text before it") from None


def check_unambiguous(rules: Rules) -> None:
    """Check that no text has two derivations, by a condition that is sufficient but not necessary.

    The condition: for every two alternatives of a nonterminal, no text of one is a prefix of a text of the
    other, or equal to it. The alternatives are then a prefix code. Proof: take two different derivations from
    one nonterminal. Up to the first choice at which they differ, they produced the same text; there they
    continue with texts of two alternatives, neither of which is a prefix of the other. So their texts differ
    at a character that both have: they are different texts, and neither is a prefix of the other.

    Raises:
        InputError: two alternatives violate the condition, or there are too many cases to check.
    """
    for name, rule in rules.items():
        for (_, one), (_, other) in combinations(rule, 2):
            if _may_be_prefix(rules, one, other):
                raise InputError(
                    f"the alternatives {''.join(one)!r} and {''.join(other)!r} of {name} may be ambiguous: a "
                    "text of one may be a prefix of a text of the other"
                )


def _may_be_prefix(rules: Rules, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether a text of one sequence of symbols can be a prefix of a text of the other."""
    todo, seen = [(one, other)], {(one, other)}
    while todo:
        one, other = todo.pop()
        if not one or not other:
            return True
        a, b = one[0], other[0]
        if a == b:  # by induction, two different texts of a nonterminal differ at a character
            following = [(one[1:], other[1:])]
        elif a in rules:
            following = [((*symbols, *one[1:]), other) for _, symbols in rules[a]]
        elif b in rules:
            following = [(one, (*symbols, *other[1:])) for _, symbols in rules[b]]
        elif a.startswith(b):
            following = [((a[len(b) :], *one[1:]), other[1:])]
        elif b.startswith(a):
            following = [(one[1:], (b[len(a) :], *other[1:]))]
        else:
            following = []
        new = set(following) - seen
        todo += new
        seen |= new
        if len(seen) > MAX_COMPARISONS:
            raise InputError(
                f"cannot tell whether the grammar is ambiguous: more than {MAX_COMPARISONS:,} comparisons"
            )
    return False
