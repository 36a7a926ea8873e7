"""What the tests share."""

import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from scratchgpt.backends import Backend, get_backend
from tests.support.project import CPU_BACKENDS, ROOT, Outcome

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for the tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("SCRATCHGPT_CACHE", str(folder))
        yield folder


@pytest.fixture(params=CPU_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend of the CPU, one after the other."""
    return get_backend(request.param)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data (SCRATCHGPT_SHARED, or ../shared); skips where there is none."""
    folder = Path(os.environ.get("SCRATCHGPT_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder}; set SCRATCHGPT_SHARED")
    return folder


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run train.py or sample.py in this process, in an empty folder, as the command line would."""
    monkeypatch.chdir(tmp_path)

    def run(script: str, *args: str) -> Outcome:
        monkeypatch.setattr("sys.argv", [script, *args])
        code = 0
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
