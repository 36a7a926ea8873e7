"""Weights & Biases: https://wandb.ai, or with WANDB_MODE=offline only files in the run's folder."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import wandb

from scratchgpt.training.loggers.base import scalars


def open_logger(folder: Path, settings: Mapping[str, Any], step: int) -> "WandbLogger":
    """Begin a run of W&B; one that goes on is a further run of the same group."""
    return WandbLogger(folder, settings)


class WandbLogger:
    """Sends the numbers of a run to W&B, under the name of its folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        name = folder.absolute().name
        self._run = wandb.init(
            project="scratchgpt",
            name=name,
            group=name,
            dir=folder,
            config=dict(settings),
            settings=wandb.Settings(console="off"),  # it would take the terminal from the live display
        )

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Send the numbers of a record."""
        self._run.log(dict(scalars(record)), step=step)

    def text(self, step: int, name: str, text: str) -> None:
        """Send a text as HTML that shows it as it is."""
        self._run.log({name: wandb.Html(f"<pre>{escape(text)}</pre>", inject=False)}, step=step)

    def close(self) -> None:
        """Send what is not sent yet."""
        self._run.finish()
