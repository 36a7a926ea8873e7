"""A reader who types what a page says, block by block, in a folder that has the files the page names."""

import contextlib
import importlib
import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import scratchgpt.__main__
from scratchgpt.cli.errors import exit_on_error
from tests.docs.files import Files
from tests.docs.markdown import COMMANDS, Block
from tests.docs.shell import Command, commands
from tests.support.project import ROOT

SHELL_TOOLS = ("cat", "zcat", "printf")
CHAT = b"Where is Ben?\n"  # what is typed to a program that asks
ENDLESS = (["python", "-m", "lessons", "watch"],)  # stopped by Ctrl-C after the first line that they print
BUDGETS = {"--training.max_epochs": "0.01", "--training.max_tokens": "2000"}  # which win over max_steps
PROGRAMS = ("train.py", "sample.py")


class Reader:
    """Runs the blocks of one page.

    Args:
        folder: an empty folder; the commands run in it.
        files: makes the files that the page names.
        clone: a copy of the repository, in which the exercises of lessons may be solved.
    """

    def __init__(self, folder: Path, files: Files, clone: Path) -> None:
        self.folder = folder
        self.files = files
        self.clone = clone
        self.names: dict[str, Any] = {"__name__": "__page__"}  # the Python blocks of a page are one program
        self.n_trainings = 0

    def read(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: a command fails, or an exception leaves a Python block.
        """
        if block.language == "python":
            self.files.provide(block.text, self.folder)
            code = compile("\n" * (block.line - 1) + block.text, block.page, "exec")
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()):
                exec(code, self.names)
        elif block.language in COMMANDS:
            for where, line in block.lines:
                printed = CHAT
                for command in commands(where, line):
                    printed = self.run(command, printed)
                    printed = printed if command.pipe else CHAT

    def run(self, command: Command, typed: bytes) -> bytes:
        """Run a command with this standard input; return its standard output."""
        self.files.provide_for(command.words, self.folder)
        words = self._shortened(command.words)
        if command.words in ENDLESS:
            code, out, err = self._interrupted(words)
        elif main := None if command.environment else _main_in_process(words):
            code, out, err = _call(main, typed, self.folder)
        else:
            code, out, err = self._in_a_process(words, typed, command.environment)
        assert code == 0, f"{command}\nexit code {code}\n{out[-1000:].decode()}\n{err[-2000:]}"
        if command.output:
            (self.folder / command.output).write_bytes(out)
        return out

    def _shortened(self, words: list[str]) -> list[str]:
        """Return a command that does the same in seconds; each training is longer than all before it."""
        match words:
            case (
                ["python", "train.py", *_]
                | ["scratchgpt", "train", *_]
                | ["python", "-m", "lessons", "train", *_]
            ):
                if "--print-config" in words:
                    return words
                self.n_trainings += 1
                steps = str(2 + self.n_trainings)  # more than the runs of `Files` have
                short = ["--training.max_steps", steps, "--training.eval_tokens", "64"]
                for name, value in BUDGETS.items():
                    short += [name, value] if name in words else []
                return [*words, *short, "--generation.max_new_tokens", "8"]
            case ["scratchgpt", "evaluate", *_]:
                return [*words, "--tokens", "200", "--replies", "2"]
        return words

    def _in_a_process(
        self, words: list[str], typed: bytes, environment: dict[str, str]
    ) -> tuple[int, bytes, str]:
        done = subprocess.run(
            self._program(words),
            cwd=self.folder,
            env=self._environment(environment),
            input=typed,
            capture_output=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def _interrupted(self, words: list[str]) -> tuple[int, bytes, str]:
        """Start a program that never ends, wait for its first line, and press Ctrl-C."""
        started = subprocess.Popen(
            self._program(words),
            cwd=self.folder,
            env=self._environment({"PYTHONUNBUFFERED": "1"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert started.stdout
        first = started.stdout.readline()
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=60)
        code = 0 if started.returncode in (0, 130) and first else started.returncode or 1
        return code, first + out, err.decode(errors="replace")

    def _program(self, words: list[str]) -> list[str]:
        program, *arguments = words
        if program != "python":
            assert program in SHELL_TOOLS, f"{program} is not a program that the pages may use"
            return [shutil.which(program) or program, *arguments]
        if arguments[0].endswith(".py"):
            arguments[0] = str(self.clone / arguments[0])
        return [sys.executable, *arguments]

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.clone), "MPLBACKEND": "Agg", "PYTHONUTF8": "1", **more}


def _main_in_process(words: list[str]) -> Callable[[], object] | None:
    """Return what to call instead of starting a program of ours; None for the lessons and other programs."""
    match words:
        case ["scratchgpt", *arguments]:
            return lambda: scratchgpt.__main__.main(arguments)
        case ["python", program, *arguments] if program in PROGRAMS:
            return lambda: _run_script(program, arguments)
        case ["python", "-m", "scratchgpt.gradcheck", *arguments]:
            main = importlib.import_module("scratchgpt.gradcheck.__main__").main
            return lambda: main(arguments)
    return None


def _run_script(program: str, arguments: list[str]) -> None:
    before = sys.argv
    sys.argv = [program, *arguments]
    try:
        runpy.run_path(str(ROOT / program), run_name="__main__")
    finally:
        sys.argv = before


def _call(main: Callable[[], object], typed: bytes, folder: Path) -> tuple[int, bytes, str]:
    """Call a program's main function; return its exit code and what it wrote."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(folder),
        _standard_input(typed),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            with exit_on_error("this page"):
                code = main() or 0
        except SystemExit as exit_:
            code = exit_.code or 0
    printed = out.buffer.getvalue()  # type: ignore[attr-defined]
    return int(str(code)), printed, err.buffer.getvalue().decode()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _standard_input(typed: bytes) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdin = before


def quietly_run_module(module: str, arguments: list[str]) -> None:
    """Run `python -m module` in this process, whether or not it has been imported before."""
    before = sys.argv
    sys.argv = [module, *arguments]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # it may be in sys.modules
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before
