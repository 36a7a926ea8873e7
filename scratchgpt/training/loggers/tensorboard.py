"""TensorBoard: event files in the run's folder `tensorboard/`. View them with `tensorboard --logdir runs`."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from scratchgpt.training.loggers.base import scalars
from scratchgpt.utils.files import make_folder


def open_logger(folder: Path, settings: Mapping[str, Any], step: int) -> "TensorBoardLogger":
    """Open a new event file; it makes TensorBoard discard what earlier ones say about steps after `step`."""
    return TensorBoardLogger(make_folder(folder / "tensorboard"), settings, step)


class TensorBoardLogger:
    """Writes event files with tensorboardX, which needs neither TensorFlow nor PyTorch.

    tensorboardX's SummaryWriter sends each number through a queue to a thread; this class writes a whole
    record at once.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        # File names end in whole seconds; the suffix keeps a second file from overwriting the first.
        self._events = EventsWriter(str(folder / "events"), f".{os.getpid()}.{step}")
        if step:
            self._write(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))
        self.text(step, "settings", yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True))

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Write the numbers of a record; they are flushed to disk with the next evaluation."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars(record)]
        self._write(Event(step=step, summary=Summary(value=values)))
        if "val_loss" in record:
            self._events.flush()

    def text(self, step: int, name: str, text: str) -> None:
        """Write a text, as a Markdown code block so that it is shown verbatim."""
        indented = "".join(f"    {line}\n" for line in text.splitlines())
        self._write(Event(step=step, summary=summary.text(name, indented)))
        self._events.flush()

    def close(self) -> None:
        """Flush and close the event file."""
        self._events.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._events.write_event(event)
