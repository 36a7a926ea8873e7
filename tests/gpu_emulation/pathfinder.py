"""Replaces `cuda.pathfinder`, which finds NVIDIA's libraries: it finds a cuBLASLt for the CPU."""

import ctypes
import functools
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.gpu_emulation import capture, gplusplus, memory

_EXECUTION_FAILED = 13  # CUBLAS_STATUS_EXECUTION_FAILED
_Submit = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)


class DynamicLibNotFoundError(RuntimeError):
    """The library is not installed."""


class DynamicLibNotAvailableError(DynamicLibNotFoundError):
    """The library does not exist for this system."""


class DynamicLibUnknownError(DynamicLibNotFoundError):
    """There is no library with this name."""


@dataclass
class LoadedDL:
    """What `load_nvidia_dynamic_lib` returns."""

    abs_path: str | None
    was_already_loaded_from_elsewhere: bool
    _handle_uint: int
    found_via: str


@functools.cache
def _library() -> ctypes.CDLL:
    """Compile and load the library, and make it submit each matmul to the emulated stream."""
    text = (gplusplus.HERE / "cublaslt.cpp").read_text(encoding="utf-8")
    options = ["-O3", "-fno-gnu-unique", "-ffp-contract=off"]
    library = ctypes.CDLL(str(gplusplus.library("libcublasLt", text, options, [gplusplus.HERE])))

    def run(job: int) -> None:
        library.emulation_run(job)
        try:
            memory.check_guards()
        except Exception as error:
            error.add_note("after cublasLtMatmul")
            raise

    @_Submit
    def submit(job: int) -> int:
        recorded = capture.capturing()
        try:
            capture.submit(functools.partial(run, job))
        except Exception:  # it cannot pass through C: print it and report the failure as CUDA would
            traceback.print_exc()
            return _EXECUTION_FAILED
        finally:
            if not recorded:
                library.emulation_forget(job)
        return 0

    library.emulation_on_submit(submit)
    library.keep = submit  # type: ignore[attr-defined] # ctypes does not keep the callback alive
    return library


def load_nvidia_dynamic_lib(libname: str) -> LoadedDL:
    """Load the library `libname` and return its path."""
    if libname in {"cudart", "cublas", "nvrtc", "curand", "cusolver", "cusparse", "cufft", "nvJitLink"}:
        raise DynamicLibNotFoundError(
            f'Failure finding "lib{libname}.so": it is not part of the emulated GPU'
        )
    if libname != "cublasLt":
        raise DynamicLibUnknownError(f"Unknown library name: {libname!r}. Known names: ['cublasLt']")
    library = _library()
    return LoadedDL(str(Path(library._name).resolve()), False, library._handle, "site-packages")


def fake_module() -> ModuleType:
    """Return the module that replaces `cuda.pathfinder`."""
    module = ModuleType("cuda.pathfinder", "An emulated cuda.pathfinder.")
    for item in (
        DynamicLibNotAvailableError,
        DynamicLibNotFoundError,
        DynamicLibUnknownError,
        LoadedDL,
        load_nvidia_dynamic_lib,
    ):
        setattr(module, item.__name__, item)
    return module
