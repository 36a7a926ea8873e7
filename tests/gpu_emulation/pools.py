"""Memory pools, the current allocator, and pinned host memory."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tests.gpu_emulation import capture, memory

ROUNDING = 512  # bytes; CuPy's pools round sizes up to it


class MemoryPointer:
    """Device memory, as returned by an allocator."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array  # uint8
        self.ptr = array.ctypes.data

    @property
    def device_id(self) -> int:
        """The number of the device."""
        return 0


class MemoryPool:
    """A pool that keeps freed memory: `total_bytes` falls only with `free_all_blocks`."""

    def __init__(self, allocator: Callable[[int], MemoryPointer] | None = None) -> None:
        self._used = self._total = self._limit = 0

    def malloc(self, size: int) -> MemoryPointer:
        """Return new memory."""
        if self is default_pool and capture.capturing():
            raise RuntimeError(
                "allocation from the default memory pool while a stream is capturing: the pool would reuse "
                "memory that the graph still needs; call using_allocator(pool.malloc) with another pool"
            )
        rounded = -(-size // ROUNDING) * ROUNDING
        if self._limit and self._used + rounded > self._limit:
            raise memory.OutOfMemoryError(
                f"Out of memory allocating {size:,} bytes (allocated so far: {self._used:,} bytes, "
                f"limit set to: {self._limit:,} bytes)."
            )
        pointer = MemoryPointer(memory.allocate(size, lambda _size: self._free(rounded)))
        self._used += rounded
        self._total = max(self._total, self._used)
        return pointer

    def _free(self, rounded: int) -> None:
        self._used -= rounded

    def used_bytes(self) -> int:
        """Return the bytes in use."""
        return self._used

    def free_bytes(self) -> int:
        """Return the bytes that are kept for reuse."""
        return self._total - self._used

    def total_bytes(self) -> int:
        """Return the bytes in use and kept for reuse."""
        return self._total

    def free_all_blocks(self, stream: Any = None) -> None:
        """Return the memory that is kept for reuse to the device."""
        self._total = self._used

    def n_free_blocks(self) -> int:
        """Return the number of blocks kept for reuse, here 0 or 1."""
        return int(self._total > self._used)

    def get_limit(self) -> int:
        """Return the limit in bytes; 0 means no limit."""
        return self._limit

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Set the limit in bytes or as a fraction of the device's memory."""
        self._limit = size or int((fraction or 0.0) * (memory.limit or memory.TOTAL))


default_pool = MemoryPool()
Allocator = Callable[[int], MemoryPointer]
_allocator: Allocator = default_pool.malloc


def get_allocator() -> Allocator:
    """Return the current allocator."""
    return _allocator


def alloc(size: int) -> MemoryPointer:
    """Return new memory from the current allocator."""
    return _allocator(size)


def set_allocator(allocator: Allocator | None = None) -> None:
    """Set the current allocator; None means one without a pool."""
    global _allocator  # noqa: PLW0603
    _allocator = allocator or _without_pool


def _without_pool(size: int) -> MemoryPointer:
    with capture.forbidden("cudaMalloc"):
        return MemoryPointer(memory.allocate(size))


@contextmanager
def using_allocator(allocator: Allocator | None = None) -> Iterator[None]:
    """Set the current allocator inside the block."""
    before = get_allocator()
    set_allocator(allocator)
    try:
        yield
    finally:
        set_allocator(before)


class PinnedMemoryPool:
    """The pool of pinned host memory, always empty here."""

    def free_all_blocks(self) -> None:
        """Do nothing: there is nothing to free."""

    def n_free_blocks(self) -> int:
        """Return 0."""
        return 0


default_pinned_pool = PinnedMemoryPool()


def alloc_pinned_memory(size: int) -> Any:
    """Return host memory with the buffer protocol, `ptr` and `size()`; its size is rounded up, as CuPy's."""
    with capture.forbidden("cudaHostAlloc"):
        rounded = max(1, -(-size // ROUNDING)) * ROUNDING
        members = {"ptr": property(ctypes.addressof), "size": lambda self: rounded}
        pinned = type("PinnedMemoryPointer", (ctypes.c_ubyte * rounded,), members)()
        ctypes.memset(ctypes.addressof(pinned), memory.POISON, rounded)
        return pinned


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    """Return an array in pinned memory (cupyx.empty_pinned)."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    pinned = alloc_pinned_memory(int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize)
    return np.ndarray(shape, dtype, buffer=pinned, order=order)  # type: ignore[call-overload]


def zeros_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    """Return zeros in pinned memory (cupyx.zeros_pinned)."""
    array = empty_pinned(shape, dtype, order)
    array[...] = 0
    return array
