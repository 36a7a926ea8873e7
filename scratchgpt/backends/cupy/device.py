"""Find a GPU, or explain what is missing."""

import importlib
import platform
from dataclasses import dataclass
from typing import Any

from scratchgpt.errors import InputError

INSTALL = (
    "pip install -e '.[cuda12]' for a CUDA 12 driver (525 or newer), "
    "'.[cuda13]' for a CUDA 13 driver (580 or newer); nvidia-smi shows which one you have"
)
MISSING_DRIVER = 35  # cudaErrorInsufficientDriver: too old, or none
NO_DEVICE = 100  # cudaErrorNoDevice


@dataclass(frozen=True)
class Device:
    """A GPU that can be used.

    Attributes:
        number: its index in CUDA's order.
        name: its product name.
        memory: its memory in bytes.
        capability: its compute capability, such as (9, 0).
        n_processors: its number of streaming multiprocessors.
        shared_memory: the most bytes of shared memory that a block can have.
    """

    number: int
    name: str
    memory: int
    capability: tuple[int, int]
    n_processors: int
    shared_memory: int

    def __str__(self) -> str:
        major, minor = self.capability
        memory = f"{self.memory / 2**30:.0f} GiB"
        return f"{self.name} (device {self.number}, {memory}, compute capability {major}.{minor})"


def find_device(number: int | None = None) -> Device:
    """Return GPU number `number` (None: the first) and make it the current one.

    Raises:
        InputError: CuPy, a driver or the GPU is missing; the message says what to install.
    """
    runtime = _cupy().cuda.runtime
    try:
        n_devices = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise InputError(_no_gpu(runtime, error)) from None
    if n_devices == 0:
        raise InputError(f"backend 'cupy' needs an NVIDIA GPU, but CUDA finds none. {_instead()}")
    number = 0 if number is None else number
    if not 0 <= number < n_devices:
        several = f"a number from 0 to {n_devices - 1}, in CUDA's order"
        raise InputError(f"device is {number}; expected {several if n_devices > 1 else '0, the only one'}")
    _cupy().cuda.Device(number).use()
    properties: dict[str, Any] = runtime.getDeviceProperties(number)
    return Device(
        number=number,
        name=properties["name"].decode(),
        memory=properties["totalGlobalMem"],
        capability=(properties["major"], properties["minor"]),
        n_processors=properties["multiProcessorCount"],
        shared_memory=properties["sharedMemPerBlockOptin"],
    )


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        why = "CuPy is not installed" if error.name == "cupy" else f"CuPy failed to load ({_one_line(error)})"
        raise InputError(f"backend 'cupy' is not available: {why}. {INSTALL}. {_instead()}") from None


def _no_gpu(runtime: Any, error: Any) -> str:
    """Return the message that explains why CUDA finds no GPU."""
    status = getattr(error, "status", None)
    driver, wanted = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if status == MISSING_DRIVER and driver == 0:
        why = "there is no NVIDIA driver"
    elif status == MISSING_DRIVER:
        why = f"the driver supports CUDA {_version(driver)}; this CuPy needs {_version(wanted)}. {INSTALL}"
    elif status == NO_DEVICE:
        why = "the driver finds no GPU (is CUDA_VISIBLE_DEVICES set?)"
    else:
        why = f"CUDA reports {_one_line(error)}. {INSTALL}"
    return f"backend 'cupy' is not available on this {platform.system()} machine: {why}. {_instead()}"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _instead() -> str:
    return "Without a GPU, use --backend numpy"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
