"""A report in words, for a plain terminal."""

import time

from lessons.kit import check
from lessons.kit.check import Report

WIDTH = 100


def text_of(report: Report) -> str:
    """Return what the learner reads."""
    number = report.exercise.number
    saved = (
        time.strftime("%H:%M:%S", time.localtime(report.path.stat().st_mtime))
        if report.path.exists()
        else "-"
    )
    lines = [f"lesson {number:02} · {report.exercise.title}    {report.path.name}, saved {saved}"]
    if report.state == check.NOT_STARTED:
        lines += [
            f"  not started. Write {', '.join(report.exercise.functions)} in exercises/{report.path.name}",
            "",
        ]
        return "\n".join([*lines, _next(report)])
    width = max((len(line.output) for line in report.lines), default=0)
    lines += [f"  {line.output:<{width}}  {line.status:<11}  {line.text}".rstrip() for line in report.lines]
    lines += [f"  {sentence}" for sentence in report.verdict]
    lines += _name(report)
    return "\n".join([*lines, "", _next(report)])


def _name(report: Report) -> list[str]:
    """Return what the wrong results are."""
    name = report.name
    if name is None:
        return []
    lines = []
    if name.faults:
        outputs = ", ".join(name.outputs)
        lines += [
            f"  What it is   {outputs}: these very numbers come of {fault.name}  [{fault.id}]"
            for fault in name.faults
        ]
    for output, other in name.places.items():
        lines.append(f"  Its place    your {output} is the right {other}; look at the order in your return")
    for output, fit in name.fits.items():
        lines.append(f"  Its terms    {output} = {fit}")
    for output, ratio in name.ratios.items():
        lines.append(f"  Its ratio    {output} is {ratio}")
    if not lines:
        lines.append("  What it is   not a mistake I know; compare the entries above with a case by hand")
    lines += [f"  Why not      {fault.why}" for fault in name.faults]
    lines += [f"  Why not      {sentence}; here that is not so" for sentence in name.broken]
    lines += [f"  Next         {fault.next}" for fault in name.faults]
    return lines


def _next(report: Report) -> str:
    number = report.exercise.number
    if report.state == check.PASSED:
        return f"  passed. See what it does: python lessons/{number:02}_*.py --mine"
    return f"  hint {number} | reveal {number} | check {number}        (python -m lessons ...)"
