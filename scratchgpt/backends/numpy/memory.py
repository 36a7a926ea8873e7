"""Keep freed memory for the next array instead of giving it back to the system."""

import ctypes
import functools
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # the names and numbers of glibc's malloc.h


@functools.cache
def keep_freed_memory() -> None:
    """Tell glibc's malloc to serve large arrays from its heap and to never shrink the heap; once per process.

    By default each array of more than 128 KiB is new memory from the kernel, which clears it page by
    page at the first touch: 40 % of a training step of the default model (docs/log.md). Other
    systems' allocators have no such switch, and nothing happens there.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # musl has none
        library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
