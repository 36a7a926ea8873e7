"""Format the report of a check as plain text for a terminal."""

import time

from lessons.kit import check, files
from lessons.kit.check import Report


def text_of(report: Report) -> str:
    """Return what the learner reads."""
    number, path = report.exercise.number, report.path
    saved = "-"
    if path.exists():
        saved = time.strftime("%H:%M:%S", time.localtime(path.stat().st_mtime))
    lines = [f"lesson {number:02} · {report.exercise.title}    {files.shown(path)}, saved {saved}"]
    if report.state == check.NOT_STARTED:
        functions = ", ".join(report.exercise.functions)
        lines += [f"  not started. Write {functions} in {files.shown(path)}", ""]
        return "\n".join([*lines, _next(report)])
    width = max((len(line.output) for line in report.lines), default=0)
    lines += [f"  {line.output:<{width}}  {line.status:<11}  {line.text}".rstrip() for line in report.lines]
    lines += [f"  {sentence}" for sentence in report.verdict]
    lines += _diagnosis(report)
    return "\n".join([*lines, "", _next(report)])


def _diagnosis(report: Report) -> list[str]:
    """Return the lines that say what the wrong results are."""
    found = report.diagnosis
    if found is None:
        return []
    lines = []
    if found.faults:
        outputs = f"{', '.join(found.outputs)} {'matches' if len(found.outputs) == 1 else 'match'}"
        known = "a known mistake" if len(found.faults) == 1 else "two known mistakes together"
        names = "; ".join(f"{fault.name}  [{fault.id}]" for fault in found.faults)
        lines.append(f"  Diagnosis    {outputs} {known} exactly: {names}")
    for output, other in found.swapped.items():
        lines.append(f"  Order        your {output} is the correct {other}; check the order in your return")
    for output, fit in found.fits.items():
        lines.append(f"  Terms        {output} = {fit}")
    for output, ratio in found.ratios.items():
        lines.append(f"  Ratio        {output} is {ratio}")
    unknown = [output for output in found.wrong if lines and output not in found.described]
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        lines.append(f"  Unexplained  {', '.join(unknown)} {verb} wrong, too, and not explained by this")
    if not lines:
        lines.append(
            "  Diagnosis    not one of the known mistakes; work through a small case by hand and compare"
        )
    lines += [f"  Why wrong    {fault.why}" for fault in found.faults]
    lines += [f"  Violated     {sentence}" for sentence in found.violated]
    lines += [f"  Next         {fault.next}" for fault in found.faults]
    return lines


def _next(report: Report) -> str:
    number = report.exercise.number
    if report.state == check.PASSED:
        return f"  passed. See it at work: python lessons/{files.lesson_path(number).name} --mine"
    return f"  hint {number} | reveal {number} | check {number}        (python -m lessons ...)"
