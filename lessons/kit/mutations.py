"""Every known mistake against the checker: is it caught, and is it named as itself?

python -m lessons.kit.mutations
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from lessons.kit import check, files
from lessons.specs import EXERCISES


class Mutation(NamedTuple):
    """What the checker made of one mistake."""

    lesson: int
    fault: str
    caught: bool
    names: tuple[str, ...]

    @property
    def named(self) -> bool:
        """Whether it was named as itself and as nothing else."""
        return self.names == (self.fault,)


def mutations() -> Iterator[Mutation]:
    """Plant every mistake in its answer and check that."""
    for number, exercise in EXERCISES.items():
        source = files.answer_path(number).read_text(encoding="utf-8")
        for fault in files.faults(number):
            report = check.check(exercise, source=files.patched(source, fault))
            names = tuple(each.id for each in report.name.faults) if report.name else ()
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
