"""The cache folder: downloads, tokens and other files that can be recreated."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the cache folder; it may not exist yet.

    It is what the environment variable SCRATCHGPT_CACHE says, else the operating system's cache folder for
    this user.
    """
    chosen = os.environ.get("SCRATCHGPT_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("scratchgpt", appauthor=False)
