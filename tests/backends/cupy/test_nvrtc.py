"""Every kernel compiles for every architecture with NVRTC, CUDA's own compiler; it needs CuPy but no GPU."""

import subprocess
import sys

import pytest

from tests.support import gpu
from tests.support.project import ROOT


def test_cupy_every_kernel_file_has_its_variants() -> None:
    gpu.prepare()
    from scratchgpt.backends.cupy import kernels

    assert set(kernels.VARIANTS) == {path.name for path in kernels.FOLDER.glob("*.cu")}
    for reals in kernels.VARIANTS.values():
        assert set(reals) <= set(kernels.REALS.values())


def test_cupy_a_type_that_a_file_is_not_compiled_for_is_refused() -> None:
    gpu.prepare()
    from scratchgpt.backends.cupy import kernels

    with pytest.raises(TypeError, match=r"adamw\.cu is not compiled for half; expected float or double"):
        kernels.launch("adamw.cu", "adamw", "float16", (1,), (1,), ())


def test_nvrtc_compiles_every_kernel_without_spills() -> None:
    if not gpu.cupy_is_installed():
        pytest.skip("CuPy is not installed")
    command = [sys.executable, "-m", "tests.gpu_emulation.compile_kernels", "--markdown"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "libnvrtc" in done.stderr:
        pytest.skip("NVRTC is not installed")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert {row[0].strip() for row in rows} == {path.name for path in ROOT.glob("scratchgpt/**/*.cu")}
    spills = {f"{row[0]}{row[1]}{row[2]}": row[4].strip() for row in rows if row[4].strip() != "0"}
    assert not spills
