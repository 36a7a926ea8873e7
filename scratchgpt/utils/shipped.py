"""The folders configs/ and data/ that ship with the package.

In a checkout they are at the top level; in an installed wheel, in scratchgpt/share/ (see pyproject.toml).
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Return the folder that holds configs/ and data/."""
    installed = PACKAGE / "share"
    return installed if installed.is_dir() else PACKAGE.parent
