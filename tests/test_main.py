"""`scratchgpt COMMAND`: the list of commands, their help, and what they have in common."""

import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scratchgpt.__main__ import COMMANDS, main
from tests.support.project import ROOT, Outcome


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_one_form(name: str) -> None:
    """A constant PROG, and main(argv), which returns the exit code."""
    module = importlib.import_module(COMMANDS[name][0])
    prog = module.PROG
    assert prog == f"scratchgpt {name}"
    signature = inspect.signature(module.main)
    assert next(iter(signature.parameters)) == "argv"
    assert signature.return_annotation is int


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    summary = COMMANDS[name][1]
    assert re.fullmatch(r"[A-Z].*[^.]\.", summary) and len(summary) < 70  # one sentence on one line
    shown = help_of(capsys, name)
    assert shown.startswith(f"usage: scratchgpt {name}")
    assert summary in " ".join(shown.split())


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command_in_the_order_of_use(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^  (\w+) +[A-Z]", out, re.MULTILINE) == list(COMMANDS)
    assert list(COMMANDS)[:3] == ["train", "sample", "chat"]


def test_no_command_and_a_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: scratchgpt COMMAND")
    assert main(["rusn", "x"]) == 2
    assert capsys.readouterr().err == "scratchgpt: error: there is no command 'rusn'; did you mean 'runs'?\n"


def test_arguments_and_the_exit_code_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Sequence[str]] = []

    def fake(arguments: Sequence[str]) -> int:
        seen.append(arguments)
        return 7

    monkeypatch.setattr("scratchgpt.cli.commands.runs.main", fake)
    monkeypatch.setattr("sys.argv", ["scratchgpt", "runs", "elsewhere", "--x"])
    assert main() == 7
    assert seen == [["elsewhere", "--x"]]


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["runs", str(tmp_path / "nowhere")], ["runs", "--folder", "x"], ["gradcheck", "x"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith(f"scratchgpt {arguments[0]}: error: ") and err.count("\n") == 1


def test_a_module_that_a_command_itself_lacks_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr("scratchgpt.__main__.import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        main(["runs"])


@pytest.mark.parametrize("name", ["train", "sample"])
@pytest.mark.parametrize("arguments", [["--help"], ["--max-stepz", "3"], ["--resume", "nowhere"]])
def test_a_script_is_the_command_of_its_name(
    command: Callable[..., Outcome], capsys: pytest.CaptureFixture[str], name: str, arguments: list[str]
) -> None:
    script = command(f"{name}.py", *arguments)
    with pytest.raises(SystemExit) as exit_:
        main([name, *arguments])
    printed = capsys.readouterr()
    assert exit_.value.code == script.code
    assert script.out == printed.out.replace(f"scratchgpt {name}", f"{name}.py")
    assert script.err == printed.err.replace(f"scratchgpt {name}", f"{name}.py")


def test_only_entry_points_read_the_command_line() -> None:
    files = [ROOT / "train.py", ROOT / "sample.py", *(ROOT / "scratchgpt").rglob("*.py")]
    reading = {path.relative_to(ROOT).as_posix() for path in files if "argv[" in path.read_text("utf-8")}
    assert reading == {
        "train.py",
        "sample.py",
        "scratchgpt/__main__.py",
        "scratchgpt/gradcheck/__main__.py",
    }
