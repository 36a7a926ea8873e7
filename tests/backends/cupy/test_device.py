"""Error messages if CuPy, a driver, a GPU or a library is missing."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

import scratchgpt as sg
from scratchgpt.backends.cupy import device
from scratchgpt.errors import InputError
from tests.support import gpu

OLD = device.Device(
    number=0, name="Tesla T4", memory=16 << 30, capability=(7, 5), n_processors=40, shared_memory=64 << 10
)


class CUDARuntimeError(RuntimeError):
    """CuPy's exception of the same name."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


def pretend(monkeypatch: pytest.MonkeyPatch, *, error: Exception | None = None, driver: int = 0) -> None:
    """Install a fake CuPy whose runtime reports this error and this driver version."""

    def count() -> int:
        if error:
            raise error
        return 0

    runtime = SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=count,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13000,
    )
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))


def test_cupy_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(InputError, match=r"CuPy is not installed.*\[cuda12\].*--backend numpy"):
        sg.get_backend("cupy", device=77)


@pytest.mark.parametrize(
    ("error", "driver", "message"),
    [
        (CUDARuntimeError(35), 0, "there is no NVIDIA driver"),
        (CUDARuntimeError(35), 12040, r"the driver supports CUDA 12\.4; this CuPy needs 13\.0"),
        (CUDARuntimeError(100), 13000, "finds no GPU .*CUDA_VISIBLE_DEVICES"),
        (CUDARuntimeError(999, "cudaErrorUnknown"), 13000, "CUDA reports cudaErrorUnknown"),
        (None, 13000, "CUDA finds none"),
    ],
)
def test_cupy_without_a_gpu(
    error: Exception | None, driver: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, error=error, driver=driver)
    with pytest.raises(InputError, match=message) as raised:
        device.find_device()
    assert "--backend numpy" in str(raised.value)
    assert ("[cuda13]" in str(raised.value)) == ("this CuPy needs" in message or "CUDA reports" in message)


@pytest.mark.parametrize("number", [-1, 99])
def test_cupy_a_gpu_that_is_not_there(number: int) -> None:
    gpu.prepare()
    with pytest.raises(InputError, match=f"device is {number}; expected (0, the only|a number from 0 to)"):
        device.find_device(number)


def test_cupy_unknown_precision() -> None:
    with pytest.raises(InputError, match="precision is 'fp8'; expected float32, tf32, bf16 or float16"):
        sg.get_backend("cupy", precision="fp8")


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_cupy_old_cards_are_told_what_they_can_do(precision: str) -> None:
    gpu.prepare()
    from scratchgpt.backends.cupy.backend import CupyBackend

    with pytest.raises(
        InputError, match=r"8\.0 or higher; for Tesla T4 \(device 0, 16 GiB, .* choose float32"
    ):
        CupyBackend(OLD, precision, False)


def test_cupy_old_cards_have_kernels_without_tensor_cores_that_fit() -> None:
    gpu.prepare()
    from scratchgpt.backends.cupy.backend import CupyBackend

    attention = CupyBackend(OLD, "float16", False).ops.attention
    for dtype in ("float16", "float32"):
        for D in (1, 16, 64):
            tile = attention.tile(D, dtype)
            assert tile.file == "attention.cu"
            assert tile.bytes_backward <= OLD.shared_memory
    with pytest.raises(InputError, match=r"128 channels; its attention tile in float32 needs 74496 bytes"):
        attention.tile(128, "float32")
    with pytest.raises(InputError, match=r"needs 148992 bytes of shared memory, but this GPU has 65536"):
        attention.tile(128, "float64")


def test_cupy_tiles_of_a_new_card() -> None:
    attention = gpu.backend("bf16").ops.attention
    assert attention.tile(64, "float16").file == "attention_mma.cu"
    assert attention.tile(64, "float32")[:4] == ("attention.cu", {"HEAD": 64, "QUERIES": 64}, 64, 32)
    assert attention.tile(65, "float32").queries == 32


def test_cupy_without_cublaslt(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.prepare()
    from scratchgpt.backends.cupy import cublaslt

    def missing(name: str) -> Any:
        raise cublaslt.DynamicLibNotFoundError(f"no {name} here")

    monkeypatch.setattr(cublaslt, "load_nvidia_dynamic_lib", missing)
    with pytest.raises(InputError, match=r"cuBLASLt.*was not found.*\[cuda12\].*no cublasLt here"):
        cublaslt.library.__wrapped__()


def test_cupy_describes_what_it_uses() -> None:
    description = gpu.backend("bf16", graph=True).describe()
    for part in (
        "GiB, compute capability",
        "bf16 with float32 master",
        "cuBLASLt",
        "tensor cores",
        "graph on",
    ):
        assert part in description
