"""Where downloads and other files are kept that can be made again."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder for what can be made again; it may not exist yet.

    The environment variable SCRATCHGPT_CACHE names it, otherwise it is the user's cache folder as the
    operating system has it.
    """
    chosen = os.environ.get("SCRATCHGPT_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("scratchgpt", appauthor=False)
