"""SCRATCHGPT_TUNE=0 leaves the process alone: OpenBLAS's kernels and malloc's options."""

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scratchgpt.backends.numpy import memory
from scratchgpt.utils import openblas, tuning

ZEN_4 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nflags\t\t: fpu avx2 avx512f\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("value", "enabled"),
    [(None, True), ("1", True), ("", True), ("0", False), ("false", False), ("Off", False), ("NO", False)],
)
def test_tuning_is_on_unless_it_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, value: str | None, enabled: bool
) -> None:
    monkeypatch.delenv(tuning.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(tuning.VARIABLE, value)
    assert tuning.is_enabled() is enabled


@pytest.mark.parametrize(("value", "expected"), [("1", "Zen"), ("0", None)])
def test_the_switch_decides_about_the_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None
) -> None:
    monkeypatch.setenv(openblas.VARIABLE, "")  # restored when the test ends
    monkeypatch.delenv(openblas.VARIABLE)
    monkeypatch.setenv(tuning.VARIABLE, value)
    (tmp_path / "cpuinfo").write_text(ZEN_4, encoding="utf-8")
    openblas.prefer_fast_kernels(tmp_path / "cpuinfo")
    assert os.environ.get(openblas.VARIABLE) == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has these options")
@pytest.mark.parametrize(("value", "n_options"), [("1", 3), ("0", 0)])
def test_the_switch_decides_about_malloc(monkeypatch: pytest.MonkeyPatch, value: str, n_options: int) -> None:
    options: list[tuple[int, int]] = []
    library = SimpleNamespace(
        mallopt=lambda option, size: options.append((option, size)),
        malloc=lambda n_bytes: None,
        free=lambda start: None,
        madvise=lambda start, length, advice: 0,
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setenv(tuning.VARIABLE, value)
    memory.keep_freed_memory.__wrapped__()  # the function itself, which the cache calls once
    assert len(options) == n_options
