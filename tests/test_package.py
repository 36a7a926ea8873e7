"""The package outside the repository: the content of sdist and wheel, and that the wheel works on its own."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.project import ROOT

SMALL = (
    *("--model.n_layer", "1", "--model.n_embd", "16", "--model.n_head", "2", "--model.block_size", "16"),
    *("--training.max_steps", "20", "--training.eval_tokens", "64", "--generation.max_new_tokens", "5"),
)
USER = """\
import numpy as np
import scratchgpt as sg
model = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=1, n_embd=4))
loss, grads = sg.loss_and_grads(model, model.init(seed=0), np.zeros((1, 8), int), np.ones((1, 8), int))
print(loss + 1.0, grads["wte.weight"].shape, sg.load("runs/fables").generate("Once", max_new_tokens=5))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without access to the repository, which must succeed; return its output."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env | {"MPLBACKEND": "Agg", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def files_in(folder: Path) -> set[str]:
    """Return the paths of all files in a folder, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture(scope="module")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, built from the sdist alone."""
    wheels, site = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels, cwd=source)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.fixture(scope="module")
def away(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and with the dependencies of ours."""
    folder = tmp_path_factory.mktemp("away")
    venv.create(folder)
    places = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars=places))
    shutil.copytree(site, packages, dirs_exist_ok=True)
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "ours.pth").write_text("\n".join(ours), encoding="utf-8")
    return Path(sysconfig.get_path("scripts", scheme="venv", vars=places), Path(sys.executable).name)


def test_the_sdist_holds_the_whole_repository_and_nothing_else(source: Path) -> None:
    held = files_in(source)
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "tests/test_package.py",
        "lessons/mutations.txt",
    } <= held
    assert not {name for name in held if "__pycache__" in name or name.endswith((".pyc", ".ipynb"))}
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    tracked = run("git", "ls-files", "-z", cwd=ROOT).rstrip("\0").split("\0")
    assert {name for name in tracked if (ROOT / name).exists()} <= held


def test_the_wheel_holds_the_package_with_configs_and_data(source: Path, site: Path) -> None:
    package, inside = source / "scratchgpt", files_in(site / "scratchgpt")
    share = {name.removeprefix("share/") for name in inside if name.startswith("share/")}
    assert inside - {f"share/{name}" for name in share} == files_in(package)
    assert share == {
        *(f"{part}/{name}" for part in ("configs", "data") for name in files_in(source / part)),
    }
    assert {"py.typed", "backends/cupy/kernels/adamw.cu", "backends/cupy/kernels/common.cuh"} <= inside
    (entry_points,) = site.glob("*.dist-info/entry_points.txt")
    assert "scratchgpt = scratchgpt.__main__:main" in entry_points.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_trains_samples_and_checks_gradients(away: Path, tmp_path: Path) -> None:
    def scratchgpt(*arguments: str | Path) -> str:
        return run(away, "-m", "scratchgpt", *arguments, cwd=tmp_path)

    trained = scratchgpt("train", *SMALL)  # on the fables, by configs/default.yaml
    assert "more text: scratchgpt sample runs/fables" in trained
    scratchgpt("sample", "runs/fables", "--max-new-tokens", "5", "--prompt", "Once")
    scratchgpt("train", "--config", "configs/memorise-780.yaml", "--training.max_steps", "2")
    (tmp_path / "my.txt").write_text("To be, or not to be. " * 20, encoding="utf-8")
    scratchgpt("train", "--data", "my.txt", *SMALL)
    runs = scratchgpt("runs")
    listed = re.findall(r"^ *(\S+) +(\d+/\d+) ", runs, re.MULTILINE)
    assert dict(listed) == {"fables": "20/20", "memorise-780": "2/2", "my": "20/20"}
    loss_plus_1, shape = run(away, "-c", USER, cwd=tmp_path).split("(", 1)
    assert 3.0 < float(loss_plus_1) < 4.0  # ln 11 + 1 = 3.4
    assert shape.startswith("11, 4)")
    package = run(away, "-c", "import scratchgpt; print(scratchgpt.__file__)", cwd=tmp_path)
    assert Path(package.strip()).is_relative_to(away.parent.parent)
    assert "gradients checked, 0 wrong." in run(away, "-m", "scratchgpt.gradcheck", cwd=tmp_path)


@pytest.mark.slow
def test_code_that_uses_the_wheel_is_type_checked(away: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USER, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(USER + 'sg.load("x").generate(3)\n', encoding="utf-8")
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", away)
    assert "no issues found" in run(*mypy, "user.py", cwd=tmp_path)
    done = subprocess.run([*mypy, "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'wrong.py:6: error: Argument 1 to "generate"' in done.stdout
