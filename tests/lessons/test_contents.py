"""The table of contents: what it says exists."""

import re

from lessons.kit import contents, files
from lessons.kit.stepper import main
from tests.lessons.learner import LESSONS


def test_every_lesson_has_a_question() -> None:
    questions = [contents.question(path) for path in LESSONS]
    assert len(set(questions)) == len(LESSONS)
    assert all(question.endswith("?") and "#" not in question for question in questions)


def test_the_introduction_names_files_and_commands_that_exist() -> None:
    files_named = re.findall(r"(?:lessons/|exercises/|answers/)[\w/]+\.py", contents.INTRODUCTION)
    assert files_named
    for name in files_named:
        assert (files.LESSONS / name.removeprefix("lessons/")).exists(), name
    commands = re.findall(r"python -m lessons (\w+)", contents.INTRODUCTION)
    assert {"check", "watch", "hint", "hunt", "train"} <= set(commands)
    for command in commands:
        try:
            main([command, "--help"])
        except SystemExit as end:
            assert end.code == 0, command
