"""Runs for tests: trained once per module, and copied for every test that uses one."""

import shutil
from pathlib import Path

from scratchgpt.cli.commands.train import main as train


def train_run(folder: Path, text_name: str, text: str, *options: str) -> Path:
    """Write a text to `folder` and train on it in `folder`/run; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / text_name
    path.write_text(text, encoding="utf-8")
    assert train(["--data", str(path), "--out", str(folder / "run"), *options]) == 0
    return folder


def copy_run(source: Path, target: Path) -> Path:
    """Copy what `train_run` made, with the text's new path in run.yaml; return the folder of the run."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    settings = target / "run" / "run.yaml"
    moved = settings.read_text(encoding="utf-8").replace(str(source), str(target))
    settings.write_text(moved, encoding="utf-8")
    return target / "run"
