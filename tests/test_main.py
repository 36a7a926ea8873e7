"""`scratchgpt COMMAND`."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest

from scratchgpt.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.util.find_spec(COMMANDS[name][0])
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


def test_no_command_and_a_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: scratchgpt COMMAND")
    assert main(["rusn", "x"]) == 2
    assert "scratchgpt: error: there is no command 'rusn'; did you mean 'runs'?" in capsys.readouterr().err


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
    with pytest.raises(SystemExit) as exit_:
        main(["runs", str(tmp_path / "nowhere")])
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("scratchgpt runs: error: ") and err.count("\n") == 1


def test_a_module_that_a_command_itself_lacks_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr("scratchgpt.__main__.import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        main(["runs"])
