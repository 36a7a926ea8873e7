"""The choice of OpenBLAS kernels: for one family of processors, and never against the user's choice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scratchgpt.utils.openblas import VARIABLE, prefer_fast_kernels
from tests.support.project import ROOT

ZEN_4 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nflags\t\t: fpu avx2 avx512f\n\nprocessor\t: 1\n"
NOT_ZEN_4 = {
    "Zen 3": ZEN_4.replace(" avx512f", ""),
    "Zen 5": ZEN_4.replace(": 25", ": 26"),
    "Intel": ZEN_4.replace("AuthenticAMD", "GenuineIntel"),
    "Arm": "processor\t: 0\nCPU implementer\t: 0x41\n",
    "nothing": "",
}


def chosen(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None = None
) -> str | None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("SCRATCHGPT_TUNE", raising=False)
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    prefer_fast_kernels(tmp_path / "cpuinfo")
    return os.environ.get(VARIABLE)


def test_zen_4_gets_the_avx2_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")  # so that the test's end restores it
    assert chosen(ZEN_4, tmp_path, monkeypatch) == "Zen"


@pytest.mark.parametrize("text", NOT_ZEN_4.values(), ids=NOT_ZEN_4)
def test_other_processors_are_left_alone(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(text, tmp_path, monkeypatch) is None


def test_the_users_choice_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(ZEN_4, tmp_path, monkeypatch, before="SkylakeX") == "SkylakeX"


def test_a_system_without_cpuinfo_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    prefer_fast_kernels(tmp_path / "missing")
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("module", ["scratchgpt", "train", "sample", "benchmarks"])
def test_the_choice_is_made_before_numpy_is_loaded(module: str) -> None:
    script = f"""
import builtins, sys
real = builtins.__import__
def watch(name, *args, **kwargs):
    if name.split(".")[0] == "numpy" and "scratchgpt.utils.openblas" not in sys.modules:
        raise SystemExit("NumPy came first")
    return real(name, *args, **kwargs)
builtins.__import__ = watch
import {module}
assert "numpy" in sys.modules
"""
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
