"""Fixtures that make training in tests faster."""

from pathlib import Path
from typing import Any

import pytest

from scratchgpt.utils.files import atomic_path


@pytest.fixture
def real_plots() -> None:
    """Ask for this in a test that looks at loss.png."""


@pytest.fixture(autouse=True)
def placeholder_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a placeholder instead of loss.png: drawing it takes longer than training a tiny model."""
    if "real_plots" in request.fixturenames:
        return

    def write_placeholder(path: Path, *args: Any) -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"placeholder")

    monkeypatch.setattr("scratchgpt.runs.folder.plot_loss", write_placeholder)


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the machine's rate of matrix products, for the MFU, with small ones."""
    monkeypatch.setattr("scratchgpt.training.mfu.MATRIX_SIZE", 128)
