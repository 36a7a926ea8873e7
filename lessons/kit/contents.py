"""Write `lessons/README.md`, the table of contents, with the picture of every lesson.

python -m lessons.kit.contents            # runs every lesson, which takes some minutes
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

Step through every gradient of a GPT, write it yourself, and find out what you got wrong. You need Python,
first-year calculus, and scratchgpt itself (`pip install -e .` in the folder above this one). The lessons
compute with NumPy, draw with matplotlib and download nothing.

```
python -m lessons                          # where am I, and what is next?
python lessons/08_layernorm.py             # read and run a lesson
python -m lessons check 8                  # is my exercise right? If not, what is the mistake?
python -m lessons watch                    # check again whenever I save
python -m lessons hint 8                   # a nudge; also: reveal 8, reset 8
python -m lessons hunt 8                   # find one or two planted mistakes
python lessons/08_layernorm.py --mine      # the lesson's experiment with my functions
python -m lessons train 4,5,8              # train a GPT made of my functions
```

Each lesson has one name: `lessons/08_layernorm.py` goes with the exercise `exercises/08_layernorm.py` and the
answer `answers/08_layernorm.py`. You edit files in `lessons/exercises/` and nothing else.

The check compares your gradient with the correct one and with finite differences of your own forward pass,
so it can tell a wrong formula from wrong calculus. It recognizes common mistakes by the numbers they produce,
and says so when yours is none of them. `python -m lessons.kit.mutations` tests the checker on every mistake
that it knows.

In a terminal, a lesson stops wherever it asks for a prediction, until you press Enter. Lessons are notebooks,
too: editors that know `# %%` run them cell by cell, and `jupytext --to notebook lessons/08_layernorm.py`
(after `pip install jupytext`) writes an `.ipynb`. Keep that file in `lessons/`, where its imports work. In a
notebook, write `Lesson(8, mine=True)` instead of passing `--mine`.
"""


def main() -> None:
    """Run the lessons and write the page."""
    PICTURES.mkdir(exist_ok=True)
    sections = [section(number, files.lesson_path(number)) for number in EXERCISES]
    page = files.LESSONS / "README.md"
    page.write_text("\n".join([INTRODUCTION, *sections]), encoding="utf-8")
    print(f"wrote {page}")


def section(number: int, path: Path) -> str:
    """Run a lesson; return its section of the page."""
    command = [sys.executable, str(path), "--out", str(PICTURES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    caption = done.stdout.rpartition("picture: ")[2].strip().splitlines()[1]
    picture = f"![{caption}](pictures/{path.stem}.png)"
    title = f"## {number:02} · {EXERCISES[number].title}"
    return "\n\n".join([title, question(path), f"[{path.name}]({path.name})", picture]) + "\n"


def question(path: Path) -> str:
    """Return the question that a lesson asks: the paragraph after **Question.**, without comment signs."""
    found = re.search(r"\*\*Question\.\*\*(.*?)\n(#\s*)?\n", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"{path.name} has no question"
    return " ".join(line.removeprefix("#").strip() for line in found[1].splitlines()).strip()


if __name__ == "__main__":
    main()
