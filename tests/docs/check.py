"""What can be known of a command without running it: its program exists and has its options.

A mark says why a block is not run. Every line of such a block must show that the mark is true: one that
"needs a GPU" names cupy, one that "needs a download" names something that is downloaded. So a mark cannot
hide a command that is merely broken.
"""

import contextlib
import functools
import importlib.util
import io
import itertools
import re
import shlex
import tomllib
from typing import Any

from scratchgpt.__main__ import COMMANDS, main
from scratchgpt.backends.cupy import PRECISIONS
from scratchgpt.cli.commands import train
from scratchgpt.cli.errors import exit_on_error
from scratchgpt.cli.options.train import parse_train_args
from scratchgpt.corpora.builtin import names
from tests.docs.markdown import COMMANDS as COMMAND_LANGUAGES
from tests.docs.markdown import EXTRA, Block
from tests.docs.reader import PROGRAMS, SHELL_TOOLS, quietly_run_module
from tests.docs.shell import Command, commands
from tests.support.project import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
DOWNLOADED = {name for name, about in names().items() if "download" in about or "datasets" in about} | {
    "gpt2"
}
CHANGE_THE_MACHINE = ("git", "cd", "python3", "py", ".", "source", "pip", "pre-commit", "sudo", "apt")
TOOLS = (*CHANGE_THE_MACHINE, "ruff", "mypy", "jupytext", "make", "bash", *SHELL_TOOLS)
TAKE_LONG = ("pytest", "benchmarks", "lessons", "tests.gpu_emulation", "make", "bash", "notebooks/")
NEED_PYTORCH = ("nanogpt", "benchmarks", "peers", "torch")
WITH_SUBCOMMANDS = ("export", "import", "tokenizer")
WITHOUT_LOGGERS = ("--logger", "none")  # their packages may be missing here
IMPORTED_AS = {
    "gguf": "gguf",
    "tensorboard": "tensorboardX",
    "sentencepiece": "sentencepiece",
    "eval": "sacrebleu",
}


def check_marked(block: Block) -> None:
    """See that a block that is not run has a true mark, and that its commands could be right.

    Raises:
        AssertionError: one of them is not.
    """
    reason = str(block.reason)
    if block.language == "python":
        compile(block.text, block.where, "exec")
        assert _shows(reason, block.text, []), f"{block.where}: nothing in this block {reason}"
        return
    assert block.language in COMMAND_LANGUAGES, f"{block.where}: a block of {block.language} is never run"
    for where, line in block.lines:
        found = commands(where, line)
        words = [word for command in found for word in command.words]
        assert not found or _shows(reason, line, words), f"{where}: nothing in this line {reason}: {line}"
        for command in found:
            check(command)


def library_of(reason: str) -> str:
    """Return the name by which the library of an extra is imported."""
    name = reason.removeprefix(EXTRA)
    return IMPORTED_AS.get(name, name)


def check(command: Command) -> None:
    """See that a program exists, and that it has the options that it is given.

    Raises:
        AssertionError: it has not.
    """
    for option, value in itertools.pairwise(command.words):
        assert option != "--precision" or value in PRECISIONS, f"{command}: there is no precision {value}"
    match command.words:
        case (
            ["python", "train.py", *arguments]
            | ["scratchgpt", "train", *arguments]
            | ["python", "-m", "lessons", "train", _, *arguments]
            | ["python", "-m", "tests.gpu_emulation", "train.py", *arguments]
        ):
            settings(command, [*arguments, *WITHOUT_LOGGERS])
        case ["python", "-m", module, *arguments]:
            _check_module(command, module, arguments)
        case ["python", program, *arguments]:
            _check_paths(command, [program])
            if program in PROGRAMS:
                _check_options(command, arguments, scratchgpt_help(program.removesuffix(".py")))
        case ["scratchgpt", name, *arguments]:
            assert name in COMMANDS, f"{command}: there is no command {name}"
            sub = arguments[:1] if name in WITH_SUBCOMMANDS else []
            _check_options(command, arguments, scratchgpt_help(name, *sub))
        case [program, *arguments]:
            _check_tool(command, program, arguments)


def _check_module(command: Command, module: str, arguments: list[str]) -> None:
    assert _is_module(module), f"{command}: there is no module {module}"
    if module == "pytest":
        _check_paths(command, [word for word in arguments if "/" in word])
    elif any(word.startswith("--") for word in arguments):  # else it may run whatever it is given
        _check_options(command, arguments, module_help(module))


def _check_tool(command: Command, program: str, arguments: list[str]) -> None:
    """See that a tool is one that the pages may name, and that what it is given is there."""
    assert program in TOOLS, f"{command}: unknown program {program}"
    if program == "pip":
        for extras in re.findall(r"\[([\w,]+)\]", " ".join(arguments)):
            for extra in extras.split(","):
                assert extra in EXTRAS, f"{command}: there is no extra {extra}"
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in arguments:
            assert f"\n{target}:" in makefile, f"{command}: there is no target {target}"
    elif program == "bash":
        _check_paths(command, arguments)


def settings(command: Command, arguments: list[str]) -> Any:
    """Return the settings of a training command, which is parsed but not run.

    Raises:
        AssertionError: it cannot be parsed.
    """
    problem = io.StringIO()
    with contextlib.redirect_stderr(problem), contextlib.redirect_stdout(io.StringIO()):
        try:
            with exit_on_error(train.PROG):
                return parse_train_args([word for word in arguments if word != "--print-config"])
        except SystemExit:
            raise AssertionError(f"{command}\n{problem.getvalue()}") from None


@functools.cache
def scratchgpt_help(*words: str) -> str:
    """Return what `scratchgpt WORDS --help` prints."""
    return _printed(lambda: main([*words, "--help"]))


@functools.cache
def module_help(module: str) -> str:
    """Return what `python -m MODULE --help` prints."""
    return _printed(lambda: quietly_run_module(module, ["--help"]))


def _printed(function: Any) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        function()  # a program that lacks a library shows its options on standard error
    return out.getvalue()


def _check_options(command: Command, arguments: list[str], help_: str) -> None:
    known = set(re.findall(r"--[\w.-]+", help_))
    given = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    assert set(given) <= known, f"{command}: there is no option {' '.join(sorted(set(given) - known))}"


def _check_paths(command: Command, paths: list[str]) -> None:
    for path in paths:
        assert (ROOT / path.partition("::")[0]).exists(), f"{command}: there is no {path}"


def _is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
        return spec is not None and (
            spec.submodule_search_locations is None
            or importlib.util.find_spec(f"{name}.__main__") is not None
        )
    except ModuleNotFoundError:
        return False


def _shows(reason: str, text: str, words: list[str]) -> bool:
    """Return whether a line, or a block of Python, shows that a reason is true."""
    if reason.startswith(EXTRA):
        name = reason.removeprefix(EXTRA)
        assert name in EXTRAS, f"there is no extra {name}"
        return name in text or IMPORTED_AS.get(name, name) in text
    match reason:
        case "needs a GPU":
            return "cupy" in text or "benchmarks.gpu" in words
        case "needs a download":
            return _needs_download(text, words)
        case "needs PyTorch":
            return any(name in text for name in NEED_PYTORCH)
        case "takes long":
            return any(word.startswith(TAKE_LONG) for word in words)
        case _:
            return bool(words) and words[0] in CHANGE_THE_MACHINE


def _needs_download(text: str, words: list[str]) -> bool:
    if any(re.search(rf"\b{re.escape(name)}\b", text.replace("configs/", "")) for name in DOWNLOADED):
        return True
    if words[:2] == ["python", "train.py"] or words[:2] == ["scratchgpt", "train"]:
        chosen = settings(Command(shlex.join(words), words), words[2:])
        return chosen.data in DOWNLOADED or chosen.init_from in DOWNLOADED
    return False
