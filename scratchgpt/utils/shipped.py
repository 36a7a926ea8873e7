"""The folders configs/ and data/, which come with the package.

In a checkout they are at its top level; in a wheel they are scratchgpt/share/ (see pyproject.toml).
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Return the folder that holds configs/ and data/."""
    installed = PACKAGE / "share"
    return installed if installed.is_dir() else PACKAGE.parent
