"""Keep freed memory for the next array instead of giving it back to the system."""

import ctypes
import functools
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # the names and numbers of glibc's malloc.h


@functools.cache
def keep_freed_memory() -> None:
    """Tell glibc's malloc to serve all arrays from one heap and to never shrink it; once per process.

    By default each array of more than 128 KiB is new memory from the kernel, which clears it page by
    page at the first touch: 40 % of a training step of the default model (docs/log.md). And each
    thread has a heap of its own, of pieces of at most 64 MiB, which do come and go. Other
    systems' allocators have no such switch, and nothing happens there.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # musl has none
        library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
        library.mallopt(M_ARENA_MAX, 1)
