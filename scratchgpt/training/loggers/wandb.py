"""Weights & Biases (https://wandb.ai); with WANDB_MODE=offline it only writes files to the run's folder."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import wandb

from scratchgpt.training.loggers.base import scalars


def open_logger(folder: Path, settings: Mapping[str, Any], step: int) -> "WandbLogger":
    """Start a W&B run; resuming our run starts another W&B run in the same group."""
    return WandbLogger(folder, settings)


class WandbLogger:
    """Sends the metrics of a run to W&B, under the name of its folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        name = folder.absolute().name
        self._run = wandb.init(
            project="scratchgpt",
            name=name,
            group=name,
            dir=folder,
            config=dict(settings),
            settings=wandb.Settings(console="off"),  # its console capture would break the live display
        )

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Log the numbers of a record."""
        self._run.log(dict(scalars(record)), step=step)

    def text(self, step: int, name: str, text: str) -> None:
        """Log a text, as preformatted HTML so that it is shown verbatim."""
        self._run.log({name: wandb.Html(f"<pre>{escape(text)}</pre>", inject=False)}, step=step)

    def close(self) -> None:
        """Upload everything pending and end the W&B run."""
        self._run.finish()
