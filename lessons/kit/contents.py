"""The table of contents, `lessons/README.md`, with the picture of every lesson.

python -m lessons.kit.contents            runs every lesson, which takes some minutes, and writes the page
"""

import re
import subprocess
import sys
from pathlib import Path

from lessons.kit import files
from lessons.specs import EXERCISES

PICTURES = files.LESSONS / "pictures"
INTRODUCTION = """\
# The lessons

Step through every gradient of a GPT, write it yourself, and be told what you got wrong. You need Python and
first-year calculus; NumPy and matplotlib do the rest, and nothing is downloaded.

```
python -m lessons                          where am I, what is next?
python lessons/08_layernorm.py             read and run a lesson (its text opens as a notebook, too)
python -m lessons check 8                  is what I wrote right? If not: what is it?
python -m lessons watch                    check again whenever I save
python -m lessons hint 8                   or reveal 8, or reset 8
python -m lessons hunt 8                   find planted mistakes, one or two
python lessons/08_layernorm.py --mine      the lesson's experiment with my functions
python train.py --mine 4,5,8 --model.dropout 0         a GPT made of my parts
```

At a terminal, a lesson stops where it asks you to predict, until you press Enter. It is a notebook, too:
editors that know `# %%` run it cell by cell, and `jupytext --to notebook lessons/08_layernorm.py` (after
`pip install jupytext`) makes an `.ipynb`. Leave that in `lessons/`, where it finds what it imports. In a
notebook, `Lesson(8, mine=True)` stands for `--mine`.

You edit files in `lessons/exercises/` and nothing else. The check compares your gradient with the right one
and with finite differences of your own forward pass, so it can tell a wrong formula from wrong calculus. It
knows the mistakes that people make by their numbers, and says so when yours is none of them
(`python -m lessons.kit.mutations` checks the checker).
"""


def main() -> None:
    """Run the lessons and write the page."""
    PICTURES.mkdir(exist_ok=True)
    sections = [section(number, files.lesson_path(number)) for number in EXERCISES]
    page = files.LESSONS / "README.md"
    page.write_text("\n".join([INTRODUCTION, *sections]), encoding="utf-8")
    print(f"written: {page}")


def section(number: int, path: Path) -> str:
    """Run a lesson; return its part of the page."""
    command = [sys.executable, str(path), "--out", str(PICTURES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    caption = done.stdout.rpartition("picture: ")[2].strip().splitlines()[1]
    picture = f"![{caption}](pictures/{path.stem}.png)"
    title = f"## {number:02} · {EXERCISES[number].title}"
    return "\n\n".join([title, question(path), f"[{path.name}]({path.name})", picture]) + "\n"


def question(path: Path) -> str:
    """Return what a lesson asks: the paragraph that begins so, without its comment signs."""
    found = re.search(r"\*\*Question\.\*\*(.*?)\n(#\s*)?\n", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"{path.name} has no question"
    return " ".join(line.removeprefix("#").strip() for line in found[1].splitlines()).strip()


if __name__ == "__main__":
    main()
