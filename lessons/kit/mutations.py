"""Test the checker: plant every known mistake; is each caught, and named as itself and nothing else?

python -m lessons.kit.mutations
"""

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lessons.kit import check, files
from lessons.specs import EXERCISES


class Mutation(NamedTuple):
    """What the checker says about a planted mistake.

    Attributes:
        lesson: the lesson's number.
        fault: the id of the planted mistake.
        caught: whether the check failed.
        names: the ids of the mistakes in the diagnosis.
    """

    lesson: int
    fault: str
    caught: bool
    names: tuple[str, ...]

    @property
    def named(self) -> bool:
        """Whether the diagnosis is the planted mistake and nothing else."""
        return self.names == (self.fault,)


def mutations(numbers: Iterable[int] = EXERCISES) -> Iterator[Mutation]:
    """Plant each known mistake of these lessons in the answer, and check that."""
    for number in numbers:
        source = files.answer_path(number).read_text(encoding="utf-8")
        for fault in files.faults(number):
            report = check.check(EXERCISES[number], source=files.patched(source, fault))
            names = tuple(each.id for each in report.diagnosis.faults) if report.diagnosis else ()
            yield Mutation(number, fault.id, report.state in (check.WRONG, check.CRASHED), names)


def main() -> int:
    """Print the table; return 1 if a mistake is not caught or not named."""
    table = list(mutations())
    print("lesson  caught  named  mistake")
    for row in table:
        named = "yes" if row.named else f"no: {', '.join(row.names) or 'not known'}"
        print(f"{row.lesson:>6}  {'yes' if row.caught else 'NO':<6}  {named:<6} {row.fault}")
    n_caught, n_named = sum(row.caught for row in table), sum(row.named for row in table)
    print(f"\n{len(table)} mistakes, {n_caught} caught, {n_named} named as themselves and nothing else")
    return 0 if n_caught == n_named == len(table) else 1


if __name__ == "__main__":
    sys.exit(main())
