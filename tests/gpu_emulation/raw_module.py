"""Replaces `cupy.RawModule`: compiles CUDA source with g++ and launches its kernels on the CPU.

Launches are checked strictly. CuPy passes an array as a bare pointer and a Python number as eight bytes, so
with the real one most mistakes give wrong numbers instead of an error.
"""

import ctypes
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.gpu_emulation import capture, gplusplus, memory
from tests.gpu_emulation.stats import stats

FORWARD, REVERSE, RANDOM = range(3)  # as `Order` in cuda_on_cpu.h
SCHEDULES = (
    (REVERSE, 0),
    (RANDOM, 1),
    (RANDOM, 2),
)  # order and seed; each must give the same bits as FORWARD
MAX_THREADS = 1024
DEFAULT_SHARED, MAX_SHARED = 48 << 10, 227 << 10  # bytes of dynamic shared memory; the second on sm_90
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)

# The sanitizers trap where a GPU would report a misaligned address; cuda_on_cpu.h turns that into an error.
_FLAGS = (
    *("-O1", "-fno-strict-aliasing", "-fno-gnu-unique", "-U_FORTIFY_SOURCE"),
    *("-fsanitize=alignment,bounds", "-fsanitize-undefined-trap-on-error"),
    *("-include", "cuda_on_cpu.h"),
)

_KERNEL = re.compile(
    r'extern\s*"C"\s*__global__\s+void\s+(?:__launch_bounds__\s*\(([^)]*)\)\s*)?(\w+)\s*\(([^)]*)\)'
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TYPES = {
    "bool": "bool",
    "unsigned char": "uint8",
    "short unsigned int": "uint16",
    "int": "int32",
    "unsigned int": "uint32",
    "long long int": "int64",
    "long long unsigned int": "uint64",
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "bf16": "bfloat16",
}

_every_schedule = False
_one_at_a_time = threading.Lock()


class Race(RuntimeError):
    """A kernel's result depends on the order in which its threads or blocks run."""


@contextmanager
def every_schedule() -> Iterator[None]:
    """Run each launch in several orders, and raise Race if the results differ in any bit."""
    global _every_schedule  # noqa: PLW0603 - a setting of the only device
    before, _every_schedule = _every_schedule, True
    try:
        yield
    finally:
        _every_schedule = before


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel."""

    name: str
    type: str  # of the value, or of what the pointer points to
    pointer: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type with the same representation."""
        name = _TYPES[self.type]
        if name == "bfloat16":
            import ml_dtypes  # the CPU backends do not need it

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(name)


@dataclass(frozen=True)
class Signature:
    """What a regular expression finds in the source about a kernel."""

    bound: int | None  # the number of threads in __launch_bounds__
    names: tuple[str, ...]


def signatures(code: str) -> dict[str, Signature]:
    """Return the kernels that a source defines."""
    found = {}
    for bound, name, parameters in _KERNEL.findall(_COMMENT.sub(" ", code)):
        first = bound.split(",")[0].strip()
        names = tuple(p.split()[-1].lstrip("*&") for p in parameters.split(",") if p.strip())
        found[name] = Signature(int(first) if first.isdigit() else None, names)
    return found


def parameters(pretty: str, names: tuple[str, ...]) -> tuple[Parameter, ...]:
    """Combine the names with the types in g++'s `... [with P = {const float*, int}]`."""
    inside = pretty[pretty.index("P = {") + len("P = {") : pretty.rindex("}")]
    types = [t.replace("{anonymous}::", "").replace("const ", "").strip() for t in inside.split(", ") if t]
    result = []
    for name, type_ in zip(names, types, strict=True):
        of = type_.removesuffix("*").strip()
        if of not in _TYPES:
            raise TypeError(f"parameter {name}: the emulator has no NumPy type for {type_}")
        result.append(Parameter(name, of, type_.endswith("*")))
    return tuple(result)


class RawModule:
    """The kernels of a CUDA source, compiled with some options."""

    def __init__(
        self,
        *,
        code: str | None = None,
        path: str | None = None,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Sequence[str] | None = None,
        jitify: bool = False,
    ) -> None:
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path is not None:
            raise NotImplementedError("`path` is for a compiled cubin or ptx file; pass the source as `code`")
        if (
            backend != "nvrtc"
            or name_expressions
            or enable_cooperative_groups
            or jitify
            or translate_cucomplex
        ):
            raise NotImplementedError('the emulator supports only NVRTC and extern "C" kernels')
        if not isinstance(options, tuple):
            raise TypeError(f"options must be a tuple, not {type(options).__name__}")
        assert code is not None
        self._code, self._options = code, options
        self._signatures = signatures(code)
        self._library: ctypes.CDLL | None = None
        self._functions: dict[str, Kernel] = {}

    def compile(self, log_stream: Any = None) -> None:
        """Compile now instead of on the first `get_function`."""
        if self._library is None:
            self._library = ctypes.CDLL(str(self._compiled()))

    def get_function(self, name: str) -> "Kernel":
        """Return the kernel `name`."""
        self.compile()
        assert self._library is not None
        if name not in self._signatures:
            raise RuntimeError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        if name not in self._functions:
            self._functions[name] = Kernel(name, self._signatures[name], self._library)
        return self._functions[name]

    def _compiled(self) -> Path:
        """Return the library: the source in an unnamed namespace, so that libraries share no symbols.

        `#line` makes messages refer to lines of the source.
        """
        folders = [Path(o[2:]) for o in self._options if o.startswith("-I")]
        definitions = [o for o in self._options if o.startswith("-D")]
        name = next(iter(self._signatures), "module")
        exports = "\n".join(f"EXPORT_KERNEL({kernel})" for kernel in self._signatures)
        header = (gplusplus.HERE / "cuda_on_cpu.h").read_text(encoding="utf-8")
        text = f'namespace {{\nstruct bf16;\nstruct half;\n#line 1 "{name}.cu"\n{self._code}\n}}\n{exports}\n'
        parts = gplusplus.with_includes(header, [gplusplus.HERE])
        tag = gplusplus.hashed(parts)  # the header is part of the library through -include
        return gplusplus.library(
            name, f"// {tag}\n{text}", [*_FLAGS, *definitions], [*folders, gplusplus.HERE]
        )


class Kernel:
    """A kernel, called as `kernel(grid, block, arguments)`."""

    def __init__(self, name: str, signature: Signature, library: ctypes.CDLL) -> None:
        self.name = name
        self._bound = signature.bound
        self._launch: Callable[..., bytes | None] = getattr(library, f"launch_{name}")
        self._launch.restype = ctypes.c_char_p  # type: ignore[attr-defined]
        types = getattr(library, f"types_{name}")
        types.restype = ctypes.c_char_p
        self.parameters = parameters(types().decode(), signature.names)
        self._max_dynamic = DEFAULT_SHARED

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """The largest dynamic shared memory that a launch may request."""
        return self._max_dynamic

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, value: int) -> None:
        if not 0 <= value <= MAX_SHARED:
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: {value} bytes of shared memory")
        self._max_dynamic = value

    def __call__(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: Sequence[Any],
        *,
        shared_mem: int = 0,
        stream: Any = None,
    ) -> None:
        """Check the launch; do it, or record it while a stream is capturing."""
        sizes = self._checked_sizes("grid", grid, MAX_GRID), self._checked_sizes("block", block, MAX_BLOCK)
        threads = int(np.prod(sizes[1]))
        if threads > min(MAX_THREADS, self._bound or MAX_THREADS):
            raise RuntimeError(
                f"CUDA_ERROR_INVALID_VALUE: {self.name}: block {block} has {threads} threads, too many"
            )
        if not 0 <= shared_mem <= self._max_dynamic:
            raise RuntimeError(
                f"CUDA_ERROR_INVALID_VALUE: {self.name}: {shared_mem} bytes of shared memory, "
                f"but max_dynamic_shared_size_bytes is {self._max_dynamic}"
            )
        if len(args) != len(self.parameters):
            raise TypeError(f"{self.name} takes {len(self.parameters)} arguments, not {len(args)}")
        values = [self._checked(p, a) for p, a in zip(self.parameters, args, strict=True)]
        stats.launches += 1
        capture.submit(lambda: self._run(sizes, values, shared_mem))

    def _checked_sizes(self, what: str, sizes: tuple[int, ...], limits: Sequence[int]) -> tuple[int, ...]:
        if not isinstance(sizes, tuple):
            raise TypeError(f"{self.name}: {what} must be a tuple, not {type(sizes).__name__}")
        if len(sizes) > 3 or not all(1 <= size <= limit for size, limit in zip(sizes, limits, strict=False)):
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: {what} {sizes}")
        return tuple(int(size) for size in sizes) + (1,) * (3 - len(sizes))

    def _checked(self, parameter: Parameter, value: Any) -> Any:
        """Return what is passed for a parameter: the array, a copy of the number, or None for null.

        Raises:
            TypeError: the argument is of the wrong kind or type.
            ValueError: the array is not contiguous.
        """
        where = f"{self.name}, parameter {parameter.name}"
        wanted = f"{parameter.dtype.name} array" if parameter.pointer else f"np.{parameter.dtype.name}"
        if value is None:
            raise TypeError(
                f"{where}: None; CuPy versions pass it differently, use np.uintp(0) for a null pointer"
            )
        if parameter.pointer and isinstance(value, np.uintp) and value == 0:
            return None
        if isinstance(value, np.ndarray):
            raise TypeError(f"{where}: a host array; expected a {wanted} on the device")
        if hasattr(value, "_array") != parameter.pointer or not (
            parameter.pointer or isinstance(value, np.generic)
        ):
            raise TypeError(f"{where}: {type(value).__name__}; expected {wanted}")
        given = value._array if parameter.pointer else value
        if given.dtype != parameter.dtype:
            raise TypeError(f"{where}: {given.dtype.name}; expected {wanted}")
        if not parameter.pointer:
            return np.array(value)  # a copy, because a captured graph keeps the number
        if not given.flags.c_contiguous and not parameter.name.endswith("_strided"):
            raise ValueError(f"{where}: the array is not contiguous, and the kernel does not get its strides")
        return given

    def _run(self, sizes: tuple[tuple[int, ...], ...], values: list[Any], shared_mem: int) -> None:
        arrays = [v for p, v in zip(self.parameters, values, strict=True) if p.pointer and v is not None]
        blocks = _memory_of(arrays) if _every_schedule else []
        before = [block.copy() for block in blocks]
        self._once(sizes, values, shared_mem, FORWARD, 0)
        if not blocks:
            return
        expected = [block.copy() for block in blocks]
        for order, seed in SCHEDULES:
            for block, old in zip(blocks, before, strict=True):
                block[...] = old
            self._once(sizes, values, shared_mem, order, seed)
            if not all(np.array_equal(a, b) for a, b in zip(blocks, expected, strict=True)):
                raise Race(f"{self.name}: the result depends on the order of threads or blocks")

    def _once(
        self, sizes: tuple[tuple[int, ...], ...], values: list[Any], shared_mem: int, order: int, seed: int
    ) -> None:
        pointers: list[Any] = []  # the launch takes the address of each argument, as the driver does
        for parameter, value in zip(self.parameters, values, strict=True):
            address = None if value is None else value.ctypes.data
            pointers.append(ctypes.c_void_p(address) if parameter.pointer else value)
        places = [ctypes.addressof(p) if isinstance(p, ctypes.c_void_p) else p.ctypes.data for p in pointers]
        with _one_at_a_time:
            failed = self._launch(
                (ctypes.c_uint * 3)(*sizes[0]),
                (ctypes.c_uint * 3)(*sizes[1]),
                ctypes.c_size_t(shared_mem),
                (ctypes.c_void_p * len(places))(*places),
                ctypes.c_int(order),
                ctypes.c_uint(seed),
            )
        if failed is not None:
            raise RuntimeError(f"{self.name}: {failed.decode()}")
        try:
            memory.check_guards()
        except Exception as error:
            error.add_note(f"after kernel {self.name}")
            raise


def _memory_of(arrays: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return as bytes the memory of each array, or of the array it is a view of, without duplicates."""
    found = {}
    for array in arrays:
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        low, high = np.lib.array_utils.byte_bounds(root)
        if high > low:
            found[low] = np.frombuffer((ctypes.c_ubyte * (high - low)).from_address(low), np.uint8)
    return list(found.values())
