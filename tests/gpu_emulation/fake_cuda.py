"""The emulated `cupy.cuda`: devices, functions of the runtime, and the modules that contain them."""

from types import ModuleType
from typing import Any

from tests.gpu_emulation import memory, pools, streams
from tests.gpu_emulation.stats import stats, synchronise_openly

NO_DEVICE = 100
INVALID_DEVICE = 101
NAMES = {
    NO_DEVICE: "cudaErrorNoDevice",
    INVALID_DEVICE: "cudaErrorInvalidDevice",
    2: "cudaErrorMemoryAllocation",
}
VERSION = 12090
_current_device = 0


class CUDARuntimeError(RuntimeError):
    """A call to the CUDA runtime failed."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"{NAMES.get(status, 'cudaErrorUnknown')}: error {status} of the emulated runtime")


class CompileException(Exception):
    """A kernel does not compile."""

    def __init__(self, msg: str, source: str, name: str, options: Any, backend: str = "nvrtc") -> None:
        super().__init__(msg)
        self._msg, self.source, self.name, self.options, self.backend = msg, source, name, options, backend

    def get_message(self) -> str:
        """Return the compiler's message."""
        return self._msg


class Device:
    """One of the emulated devices; they share one memory."""

    def __init__(self, device: "int | Device | None" = None) -> None:
        self.id = _current_device if device is None else int(getattr(device, "id", device))
        self._outer: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> "Device":
        self._outer.append(_current_device)
        self.use()
        return self

    def __exit__(self, *_error: object) -> None:
        set_device(self._outer.pop())

    def use(self) -> None:
        """Make this the current device."""
        set_device(self.id)

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""
        synchronise_openly("Device.synchronize")

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        return mem_get_info()

    @property
    def compute_capability(self) -> str:
        """Major and minor version in one string, e.g. "90"."""
        properties = get_device_properties(self.id)
        return f"{properties['major']}{properties['minor']}"

    @property
    def attributes(self) -> dict[str, int]:
        """The attributes that the backend reads."""
        properties = get_device_properties(self.id)
        return {
            "MultiProcessorCount": properties["multiProcessorCount"],
            "MaxSharedMemoryPerBlockOptin": properties["sharedMemPerBlockOptin"],
            "ComputeCapabilityMajor": properties["major"],
            "ComputeCapabilityMinor": properties["minor"],
        }


def get_device_count() -> int:
    """Return the number of devices; as in CUDA, having none is an error."""
    if stats.device_count == 0:
        raise CUDARuntimeError(NO_DEVICE)
    return stats.device_count


def set_device(device: int) -> None:
    """Make a device the current one."""
    global _current_device  # noqa: PLW0603
    if not 0 <= device < get_device_count():
        raise CUDARuntimeError(INVALID_DEVICE)
    _current_device = device


def get_device_properties(device: int) -> dict[str, Any]:
    """Return those properties of a device that the backend reads."""
    if not 0 <= device < get_device_count():
        raise CUDARuntimeError(INVALID_DEVICE)
    return {
        "name": b"Emulated GPU",
        "multiProcessorCount": 2,
        "totalGlobalMem": mem_get_info()[1],
        "major": 9,
        "minor": 0,
        "warpSize": 32,
        "maxThreadsPerBlock": 1024,
        "sharedMemPerBlock": 49152,
        "sharedMemPerBlockOptin": 232448,
        "sharedMemPerMultiprocessor": 233472,
        "l2CacheSize": 52428800,
    }


def mem_get_info() -> tuple[int, int]:
    """Return the free and the total bytes of the device."""
    total = memory.TOTAL if memory.limit is None else memory.limit
    return total - memory.current, total


def is_available() -> bool:
    """Return whether there is at least one device."""
    return stats.device_count > 0


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)
    return module


def build() -> ModuleType:
    """Return the module `cupy.cuda` with its submodules."""
    runtime = _module(
        "cupy.cuda.runtime",
        CUDARuntimeError=CUDARuntimeError,
        cudaErrorNoDevice=NO_DEVICE,
        cudaErrorInvalidDevice=INVALID_DEVICE,
        deviceSynchronize=lambda: synchronise_openly("runtime.deviceSynchronize"),
        driverGetVersion=lambda: VERSION,
        getDevice=lambda: _current_device,
        getDeviceCount=get_device_count,
        getDeviceProperties=get_device_properties,
        is_hip=False,
        memGetInfo=mem_get_info,
        runtimeGetVersion=lambda: VERSION,
        setDevice=set_device,
        streamCaptureModeGlobal=0,
        streamCaptureModeRelaxed=2,
        streamCaptureModeThreadLocal=1,
        streamSynchronize=lambda stream: synchronise_openly("runtime.streamSynchronize"),
    )
    allocators: dict[str, Any] = {
        "MemoryPointer": pools.MemoryPointer,
        "MemoryPool": pools.MemoryPool,
        "get_allocator": pools.get_allocator,
        "set_allocator": pools.set_allocator,
    }
    queues: dict[str, Any] = {
        "Event": streams.Event,
        "Stream": streams.Stream,
        "get_current_stream": streams.get_current_stream,
        "get_elapsed_time": streams.get_elapsed_time,
    }
    pinned: dict[str, Any] = {
        "PinnedMemoryPool": pools.PinnedMemoryPool,
        "alloc_pinned_memory": pools.alloc_pinned_memory,
    }
    return _module(
        "cupy.cuda",
        **allocators,
        **queues,
        **pinned,
        Device=Device,
        Graph=streams.Graph,
        alloc=pools.alloc,
        compiler=_module("cupy.cuda.compiler", CompileException=CompileException),
        device=_module("cupy.cuda.device", Device=Device),
        get_device_id=lambda: _current_device,
        get_local_runtime_version=lambda: VERSION,
        graph=_module("cupy.cuda.graph", Graph=streams.Graph),
        is_available=is_available,
        memory=_module("cupy.cuda.memory", OutOfMemoryError=memory.OutOfMemoryError, **allocators),
        pinned_memory=_module("cupy.cuda.pinned_memory", **pinned),
        runtime=runtime,
        stream=_module("cupy.cuda.stream", **queues),
        using_allocator=pools.using_allocator,
    )
