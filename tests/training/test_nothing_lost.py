"""A run that is killed and resumed, at whatever moment, ends bit for bit like one that was not.

The processes are forked from a server that has already imported everything, so they start quickly.
"""

import errno
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scratchgpt as sg
from scratchgpt.checkpoint import _read_whole, save_weights
from scratchgpt.runs.folder import RunFolder
from tests.support.project import Outcome

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL and no fork")

TEXT = "the quick brown fox jumps over the lazy dog. " * 40
SMALL = [
    *("--model.block_size=8", "--model.n_layer=1", "--model.n_head=2", "--model.n_embd=8"),
    *("--model.dropout=0.1", "--training.batch_size=2", "--training.batches=epochs", "--threads=1"),
    *(
        "--training.warmup_steps=5",
        "--training.learning_rate=0.01",
        "--training.keep_checkpoints=2",
        "--training.sample_tokens=0",
    ),
    *("--generation.max_new_tokens=5", "--generation.prompt=the"),
]
PACE = ("tokens_per_second", "matrix_share", "seconds")  # metrics that differ from run to run


class Killer:
    """Kills its own process at a certain call of a function, before the call or after it."""

    def __init__(self, name: str, moment: int, after: bool) -> None:
        self._real, self._moment, self._after, self._calls = getattr(os, name), moment, after, 0
        setattr(os, name, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._calls += 1
        is_last = self._calls == self._moment
        if is_last and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = self._real(*args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def train(args: list[str], folder: Path, began: Any, kill_at: tuple[str, int, bool] | None) -> None:
    """Run `python train.py ARGS` in `folder`; to be called in a new process."""
    from scratchgpt.cli.commands import train as program
    from scratchgpt.cli.errors import exit_on_error
    from scratchgpt.training import step as training_step

    os.chdir(folder)
    sys.stdout = sys.stderr = open("log.txt", "w")  # noqa: PTH123, SIM115
    RunFolder.draw = lambda *args: None  # plotting takes longer than everything else
    take_step = training_step.TrainingStep.__call__

    def first_step(self: Any, *args: Any) -> None:
        began.set()
        training_step.TrainingStep.__call__ = take_step
        if kill_at:
            Killer(*kill_at)
        take_step(self, *args)

    training_step.TrainingStep.__call__ = first_step
    with exit_on_error("train.py"):
        sys.exit(program.main(args, prog="train.py"))


Start = Callable[..., tuple[Any, Any]]  # returns a process, and an event that its first training step sets


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Start `train` in new processes; those still running at the end are killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["scratchgpt.cli.commands.train", "tests.training.test_nothing_lost"])
    processes = []

    def start(args: list[str], folder: Path, kill_at: tuple[str, int, bool] | None = None) -> tuple[Any, Any]:
        began = context.Event()
        process = context.Process(target=train, args=(args, folder, began, kill_at))
        process.start()
        processes.append(process)
        return process, began

    yield start
    for process in processes:
        process.kill()
        process.join()
        process.close()


def outcome(run: Path) -> dict[str, Any]:
    """Return what must not depend on kills, bit for bit: metrics, checkpoints and file names."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    for record in records:
        for name in PACE:
            record.pop(name, None)
    checkpoints = {path.name: path.read_bytes() for path in run.glob("*.safetensors")}
    return {"curve": records, "files": sorted(path.name for path in run.iterdir()), **checkpoints}


def wait_for_first_step(process: Any, began: Any, folder: Path) -> None:
    while not began.wait(0.05):
        assert process.is_alive(), (folder / "log.txt").read_text("utf-8")


def run_to_end(start: Start, args: list[str], folder: Path) -> dict[str, Any]:
    process, _ = start(args, folder)
    process.join()
    assert process.exitcode == 0, (folder / "log.txt").read_text("utf-8")
    return outcome(folder / "run")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def last_step(run: Path) -> int:
    """Return the step of the last checkpoint; 0 if there is none."""
    path = run / "last.safetensors"
    return int(_read_whole(path)[1]["step"]) if path.exists() else 0


@pytest.mark.slow
def test_kills_at_random_moments_change_no_bit(start: Start, text: Path, tmp_path: Path) -> None:
    n_kills, max_steps = 50, 400
    first = ["--data", str(text), "--out", "run", *SMALL, f"--training.max_steps={max_steps}"]
    first.append("--training.eval_interval=2")
    (tmp_path / "whole").mkdir()
    process, began = start(first, tmp_path / "whole")
    wait_for_first_step(process, began, tmp_path / "whole")
    before = time.perf_counter()
    process.join()
    seconds = time.perf_counter() - before
    assert process.exitcode == 0
    whole = outcome(tmp_path / "whole" / "run")
    counts = {name: sum(name in record for record in whole["curve"]) for name in ("loss", "val_loss")}
    assert counts == {"loss": max_steps, "val_loss": max_steps // 2}
    kept = {name for name in whole if name.startswith("step-")}
    assert kept == {f"step-{step:06d}.safetensors" for step in (max_steps - 2, max_steps)}

    folder = tmp_path / "killed"
    folder.mkdir()
    run = folder / "run"
    moments = random.Random(3)
    steps, n_in_writes = [], 0
    for _ in range(n_kills):
        if not last_step(run):  # killed before the first checkpoint: there is nothing to resume
            shutil.rmtree(run, ignore_errors=True)
        process, began = start(["--resume", "run"] if run.exists() else first, folder)
        if moments.random() < 0.9:  # else during the start
            wait_for_first_step(process, began, folder)
        time.sleep(moments.uniform(0.0, seconds / (1.2 * max(n_kills, 10))))
        assert process.exitcode is None, "over before it could be killed"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        n_in_writes += any(run.glob(".*tmp*"))
        steps.append(last_step(run))
    assert steps == sorted(steps)
    assert len(set(steps)) > n_kills // 10
    if n_kills >= 50:
        assert n_in_writes > 0  # some of the moments were in the middle of a save
    assert run_to_end(start, ["--resume", "run"], folder) == whole


# A save moves run.yaml, config.json, best, metrics.jsonl, step-000006, last to their names, in this order;
# atomic_path then checks that the temporary file is gone; and step-000002 is removed.
KILLS = [("replace", i, after) for i in range(1, 7) for after in (False, True)]
KILLS += [("unlink", 7, False), ("unlink", 7, True)]


@pytest.mark.parametrize(
    "kills", [KILLS[::5], pytest.param(KILLS, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_kill_between_any_two_changes_of_the_disk_changes_no_bit(
    start: Start, text: Path, tmp_path: Path, kills: list[tuple[str, int, bool]]
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    flags = [*SMALL, "--training.max_steps=4", "--training.eval_interval=2"]
    run_to_end(start, ["--data", str(text), "--out", "run", *flags], base)
    more = ["--resume", "run", "--training.max_steps=8"]
    whole = run_to_end(start, more, Path(shutil.copytree(base, tmp_path / "whole")))

    for kill in kills:
        folder = Path(shutil.copytree(base, tmp_path / "-".join(map(str, kill))))
        run = folder / "run"
        process, _ = start(more, folder, kill)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert any(run.glob(".*tmp*")) == (kill[0] == "replace" and not kill[2])
        assert last_step(run) == (6 if kill >= ("replace", 6, True) else 4)
        assert (run / "step-000002.safetensors").exists() == (kill != ("unlink", 7, True))
        assert (run / "train.lock").exists()
        assert run_to_end(start, more, folder) == whole, kill


SAVE = ["run.yaml", "config.json", "best.safetensors", "metrics.jsonl", "step-000006.safetensors"]
SAVE += [
    "last.safetensors",
    "loss.png",
    "report.html",
]  # the files of the first save after --resume, in this order


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("run.yaml", "last.safetensors", "report.html")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in SAVE
    ],
)
def test_a_full_disk_is_reported_and_the_last_checkpoint_stays(
    command: Callable[..., Outcome], text: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    flags = [*SMALL, "--training.max_steps=4", "--training.eval_interval=2"]
    assert command("train.py", "--data", str(text), "--out", "run", *flags).code == 0
    before = Path("run/last.safetensors").read_bytes()
    shutil.copytree("run", "copy")

    calls = itertools.count()

    def full(descriptor: int) -> None:
        if next(calls) == 2 * SAVE.index(name):  # after each file, its folder is synced, too
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    more = ["--resume", "run", "--training.max_steps=6"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = command("train.py", *more)
    assert done.code == 2
    assert f"cannot write {Path('run', name)}: No space left on device" in done.err
    assert not [path.name for path in Path("run").iterdir() if path.name.startswith(".")]
    if name not in ("loss.png", "report.html"):
        assert Path("run/last.safetensors").read_bytes() == before
        assert command("train.py", *more).code == 0  # now there is space again
    assert command("train.py", "--resume", "copy", "--training.max_steps=6").code == 0
    assert outcome(Path("run"))["last.safetensors"] == outcome(Path("copy"))["last.safetensors"]


def test_a_write_that_the_system_cuts_short_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    """Like a full disk, a limit on file sizes makes the write fail half-way."""
    import resource  # Windows has none

    path = tmp_path / "w.safetensors"
    model = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=32))
    save_weights(path, model.init(1), {})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(sg.InputError, match=r"cannot write .*w\.safetensors: .*File too large"):
            save_weights(path, model.init(2), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_has_become_read_only_is_reported(
    command: Callable[..., Outcome], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        command("train.py", "--data", str(text), "--out", "run", *SMALL, "--training.max_steps=2").code == 0
    )

    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "touch", refuse)
        done = command("train.py", "--resume", "run", "--training.max_steps=4")
    assert done.code == 2
    assert f"cannot write {Path('run', 'run.yaml')}: Read-only file system" in done.err
    assert last_step(tmp_path / "run") == 2
    assert not Path("run/train.lock").exists()


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="an administrator may write anywhere"
)
def test_a_folder_without_write_permission_is_reported(
    command: Callable[..., Outcome], text: Path, tmp_path: Path
) -> None:
    assert (
        command("train.py", "--data", str(text), "--out", "run", *SMALL, "--training.max_steps=2").code == 0
    )
    run = tmp_path / "run"
    run.chmod(0o555)
    try:
        done = command("train.py", "--resume", "run", "--training.max_steps=4")
    finally:
        run.chmod(0o755)
    assert done.code == 2
    assert "cannot write to folder run: Permission denied" in done.err
    assert last_step(run) == 2
