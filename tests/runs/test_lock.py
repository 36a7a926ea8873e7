"""The lock on a run's folder: one process at a time, and a dead process does not keep it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import scratchgpt as sg
from scratchgpt.runs.lock import RunLock
from tests.support.project import ROOT, Outcome

HOLD = """
import sys
from pathlib import Path
from scratchgpt.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""
SMALL = [
    *("--model.block_size=8", "--model.n_layer=1", "--model.n_head=2", "--model.n_embd=8"),
    *("--training.batch_size=2", "--training.eval_interval=2", "--generation.max_new_tokens=5"),
]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_held_lock_is_refused_and_the_error_names_the_holder(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    words = rf"is being trained by process {holder.pid} on host {socket.gethostname()}, since 20.*it saves"
    for _ in range(2):
        with pytest.raises(sg.InputError, match=words):
            RunLock(tmp_path).acquire()


def test_a_killed_process_does_not_keep_the_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / "train.lock").read_text("utf-8"))["pid"] == holder.pid
    lock = RunLock(tmp_path)
    lock.acquire()
    assert json.loads((tmp_path / "train.lock").read_text("utf-8"))["pid"] == os.getpid()
    lock.release()
    assert not (tmp_path / "train.lock").exists()


def test_a_released_lock_can_be_taken_again_and_a_second_one_cannot(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path), RunLock(tmp_path)
    second.release()  # nothing is held
    for _ in range(3):
        first.acquire()
        with pytest.raises(sg.InputError, match=f"is being trained by process {os.getpid()} "):
            second.acquire()
        first.release()
        first.release()
    second.acquire()
    second.release()


def test_the_pid_of_a_dead_holder_may_belong_to_another_process(tmp_path: Path) -> None:
    """Neither PID nor time decides: this process lives, and holds nothing."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": "2999-01-01 00:00:00+00:00"}
    (tmp_path / "train.lock").write_text(json.dumps(holder), encoding="utf-8")
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


def test_a_lock_of_another_host_counts_until_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "train.lock"
    content = json.dumps({"pid": 7, "host": "elsewhere", "since": "2026-01-01 00:00:00+00:00"})
    path.write_text(content, encoding="utf-8")
    words = r"locked by process 7 on host elsewhere, since 2026.* remove .*train\.lock"
    with pytest.raises(sg.InputError, match=words):
        RunLock(tmp_path).acquire()
    assert path.read_text("utf-8") == content
    path.unlink()
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 3}'])
def test_a_holder_killed_while_writing_does_not_keep_the_lock(tmp_path: Path, content: str) -> None:
    (tmp_path / "train.lock").write_text(content, encoding="utf-8")
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed on Windows")
def test_a_file_removed_between_opening_and_locking_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scratchgpt.runs import lock as run_lock

    real, calls = run_lock._lock, []

    def lock(file: object) -> None:
        calls.append(file)
        if len(calls) == 1:
            (tmp_path / "train.lock").unlink()
        real(file)

    monkeypatch.setattr(run_lock, "_lock", lock)
    mine = RunLock(tmp_path)
    mine.acquire()
    assert len(calls) == 2
    with pytest.raises(sg.InputError, match="is being trained"):
        RunLock(tmp_path).acquire()
    mine.release()


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(sg.InputError, match=r"cannot lock .*train\.lock: No such file"):
        RunLock(tmp_path / "nowhere").acquire()


def test_training_is_refused_while_another_process_trains_and_sampling_is_not(
    command: Callable[..., Outcome], tmp_path: Path
) -> None:
    Path("text.txt").write_text("to be or not to be " * 20, encoding="utf-8")
    train = ["train.py", "--data", "text.txt", "--out", "run", *SMALL, "--training.max_steps=2"]
    assert command(*train).code == 0
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    resume = ["train.py", "--resume", "run", "--training.max_steps=4"]
    lock = RunLock(tmp_path / "run")
    lock.acquire()
    try:
        done = command(*resume)
        assert done.code == 2
        assert f"run is being trained by process {os.getpid()} on host" in done.err
        assert command("sample.py", "run", "--max-new-tokens", "3").code == 0
    finally:
        lock.release()
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    assert command(*resume).code == 0
    assert not Path("run/train.lock").exists()


def test_an_error_releases_the_lock(command: Callable[..., Outcome]) -> None:
    Path("text.txt").write_text("to be or not to be " * 20, encoding="utf-8")
    train = ["train.py", "--data", "text.txt", "--out", "run", *SMALL, "--training.max_steps=2"]
    assert command(*train).code == 0
    assert "run is already at step 2 of 2" in command("train.py", "--resume", "run").err
    assert not Path("run/train.lock").exists()
