"""Loggers: read back what they wrote; nothing goes to a network."""

import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scratchgpt.errors import InputError
from scratchgpt.training.loggers import PACKAGES, logger_names, open_loggers
from scratchgpt.training.loggers.base import scalars

SETTINGS = {"data": "tales.txt", "training": {"learning_rate": 1e-3}}
RECORDS: list[dict[str, Any]] = [
    {"step": 1, "loss": 2.5, "lr": 1e-3, "grad_norm": None},
    {"step": 2, "loss": 2.25, "lr": 5e-4, "grad_norm": 0.5},
    {"step": 2, "val_loss": 2.0, "tokens_per_second": 1000.0},
    {"step": 2, "update_ratio": {"h.0": 0.125, "h.1": 0.25}},
]
SAMPLE = "</pre><script>alert(1)</script>\n  # no heading\n"


def log_all(asked: str, folder: Path) -> None:
    with open_loggers(asked, folder, SETTINGS) as loggers:
        for logger in loggers:
            for record in RECORDS:
                logger.log(record["step"], record)
            logger.text(2, "sample", SAMPLE)


def test_the_numbers_of_a_record() -> None:
    found = [dict(scalars(record)) for record in RECORDS]
    assert found == [
        {"loss": 2.5, "lr": 1e-3},
        {"loss": 2.25, "lr": 5e-4, "grad_norm": 0.5},
        {"val_loss": 2.0, "tokens_per_second": 1000.0},
        {"update_ratio/h.0": 0.125, "update_ratio/h.1": 0.25},
    ]
    assert dict(scalars({"step": 3, "sample": "text"})) == {}


@pytest.mark.parametrize("asked", [None, "", "none", " none "])
def test_no_logger_is_the_default(asked: str | None, tmp_path: Path) -> None:
    with open_loggers(asked, tmp_path, SETTINGS) as loggers:
        assert loggers == []
    assert list(tmp_path.iterdir()) == []


def test_several_loggers_separated_by_commas_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scratchgpt.training.loggers.find_spec", lambda name: name)
    assert logger_names("wandb, tensorboard,wandb") == ["wandb", "tensorboard"]


@pytest.mark.parametrize("asked", ["tensorbord", "none,tensorboard", "tensorboard,"])
def test_an_unknown_logger_is_an_error(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scratchgpt.training.loggers.find_spec", lambda name: name)
    with pytest.raises(
        InputError, match=f"logger is '{asked}'; expected none, tensorboard, wandb, or several"
    ):
        logger_names(asked)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("scratchgpt.training.loggers.find_spec", lambda package: None)
    with (
        pytest.raises(InputError, match=rf"'{name}' needs .*pip install 'scratchgpt\[{name}\]'"),
        open_loggers(name, tmp_path, SETTINGS),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_every_logger_is_closed_even_if_another_one_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed = []

    class Fake:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)
            if self.name == "wandb":
                raise ValueError("cannot close")

    class Module:
        def __init__(self, name: str) -> None:
            self.name = name

        def open_logger(self, folder: Path, settings: Mapping[str, Any], step: int) -> Fake:
            assert (folder, step) == (tmp_path, 7)
            return Fake(self.name)

    monkeypatch.setattr("scratchgpt.training.loggers.find_spec", lambda package: package)
    monkeypatch.setattr(
        "scratchgpt.training.loggers.import_module", lambda name: Module(name.rpartition(".")[2])
    )
    with pytest.raises(ValueError, match="cannot close"), open_loggers("tensorboard,wandb", tmp_path, {}, 7):
        pass
    assert closed == ["wandb", "tensorboard"]


def events(folder: Path) -> Iterator[Any]:
    """Yield the events in a folder's files, which are lengths and events, each followed by a checksum."""
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    def masked(data: bytes) -> int:
        crc = crc32c(data)
        return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF

    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, start = path.read_bytes(), 0
        while start < len(data):
            (size,) = struct.unpack_from("<Q", data, start)
            body = data[start + 12 : start + 12 + size]
            assert struct.unpack_from("<I", data, start + 8) == (masked(data[start : start + 8]),)
            assert struct.unpack_from("<I", data, start + 12 + size) == (masked(body),)
            yield Event.FromString(body)
            start += 16 + size


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def package(self) -> None:
        pytest.importorskip(
            "tensorboardX", reason="tensorboardX is not installed: pip install -e '.[tensorboard]'"
        )

    def test_event_files_hold_what_was_logged(self, tmp_path: Path) -> None:
        log_all("tensorboard", tmp_path)
        numbers, texts = [], {}
        for event in events(tmp_path / "tensorboard"):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    numbers.append((event.step, value.tag, value.simple_value))
                else:
                    texts[value.tag] = (event.step, value.tensor.string_val[0].decode())
        expected = [(r["step"], *pair) for r in RECORDS for pair in scalars(r)]
        assert [(step, tag, pytest.approx(value, rel=1e-6)) for step, tag, value in expected] == numbers
        step, sample = texts["sample/text_summary"]
        assert (step, sample) == (2, "".join(f"    {line}\n" for line in SAMPLE.splitlines()))
        assert "learning_rate: 0.001" in texts["settings/text_summary"][1]

    def test_an_evaluation_is_on_disk_before_the_end(self, tmp_path: Path) -> None:
        with open_loggers("tensorboard", tmp_path, SETTINGS) as (logger,):
            logger.log(1, {"step": 1, "loss": 2.0})
            logger.log(1, {"step": 1, "val_loss": 2.5})
            tags = [value.tag for event in events(tmp_path / "tensorboard") for value in event.summary.value]
        assert tags[-2:] == ["loss", "val_loss"]

    def test_a_resumed_run_starts_a_file_that_discards_later_steps(self, tmp_path: Path) -> None:
        from tensorboardX.proto.event_pb2 import SessionLog

        for step in (0, 2):
            with open_loggers("tensorboard", tmp_path, SETTINGS, step) as (logger,):
                logger.log(step + 1, {"step": step + 1, "loss": 2.0})
        assert len(list((tmp_path / "tensorboard").iterdir())) == 2
        starts = [
            event.step
            for event in events(tmp_path / "tensorboard")
            if event.HasField("session_log") and event.session_log.status == SessionLog.START
        ]
        assert starts == [3]

    @pytest.mark.peers
    def test_tensorboard_itself_reads_them(self, tmp_path: Path) -> None:
        name = "tensorboard.backend.event_processing.event_accumulator"
        accumulator = pytest.importorskip(name, reason="tensorboard is not installed")
        log_all("tensorboard", tmp_path)
        theirs = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
        theirs.Reload()
        assert [(e.step, e.value) for e in theirs.Scalars("loss")] == [(1, 2.5), (2, 2.25)]
        assert theirs.Tags()["tensors"] == ["settings/text_summary", "sample/text_summary"]


@pytest.mark.skipif(sys.platform == "win32", reason="wandb's service keeps its files open on Windows")
class TestWandb:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name, value in {
            "WANDB_MODE": "offline",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SILENT": "true",
            "WANDB_CACHE_DIR": str(tmp_path / "cache"),
            "WANDB_CONFIG_DIR": str(tmp_path / "config"),
            "WANDB_DATA_DIR": str(tmp_path / "data"),
        }.items():
            monkeypatch.setenv(name, value)
        pytest.importorskip("wandb", reason="wandb is not installed: pip install -e '.[wandb]'")

    def test_an_offline_run_holds_what_was_logged(self, tmp_path: Path) -> None:
        log_all("wandb", tmp_path)
        (run,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
        content = run.read_bytes()
        for name in (
            b"val_loss",
            b"tokens_per_second",
            b"h.0",
            b"0.125",
            b"2.25",
            b"learning_rate",
            b"tales.txt",
        ):
            assert name in content, name
        (html,) = (tmp_path / "wandb").glob("offline-run-*/files/media/html/sample_*.html")
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html.read_text(encoding="utf-8")
