"""Ctrl-C and SIGTERM: the first one requests a stop, a second Ctrl-C stops at once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scratchgpt.utils.signals import signals_request_stop
from tests.support.project import ROOT

SMALL = [
    *("--model.block_size=8", "--model.n_layer=1", "--model.n_head=2", "--model.n_embd=8"),
    *("--training.batch_size=2", "--training.eval_interval=100000000", "--training.max_steps=100000000"),
]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_requests_a_stop_and_handlers_are_restored(signum: int, code: int) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with signals_request_stop() as stop:
        assert not stop.is_set()
        assert stop.exit_code == 0
        signal.raise_signal(signum)
        assert stop.is_set()
        assert stop.exit_code == code
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_ctrl_c_after_the_first_signal_stops_at_once(first: int) -> None:
    with signals_request_stop() as stop:
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.signum == first


def test_a_second_sigterm_changes_nothing() -> None:
    with signals_request_stop() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.exit_code == 130  # the first one counts


@pytest.fixture
def training(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that trains without end and without a checkpoint."""
    (tmp_path / "text.txt").write_text("to be or not to be " * 20, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--data", "text.txt", "--out", "run", *SMALL],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while "run folder" not in process.stdout.readline():
            pass  # after this line the loop begins
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")
def test_sigterm_saves_explains_how_to_continue_and_exits_with_143(
    training: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        training.wait(0.3)
    training.send_signal(signal.SIGTERM)
    out, err = training.communicate(timeout=60)
    assert training.returncode == 143, err
    assert "Continue with: python train.py --resume run" in out
    assert "Traceback" not in err
    records = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert f"Stopped and saved at step {json.loads(records[-1])['step']}." in out
    assert (tmp_path / "run" / "last.safetensors").exists()
    assert not (tmp_path / "run" / "train.lock").exists()
