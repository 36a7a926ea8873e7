"""Memory settings of the process: freed memory is kept for the next array, and lies on huge pages."""

import ctypes
import functools
import mmap
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # as in glibc's malloc.h
HUGE_PAGE_BYTES = 1 << 29  # the part of the heap, from its start, that is advised to use huge pages


@functools.cache
def keep_freed_memory() -> None:
    """Make glibc's malloc serve all arrays from one heap and never shrink it; once per process.

    By default, every array above 128 KiB is new memory from the kernel, which clears it page by page on
    first touch: 40 % of a training step of the default model (docs/log.md). Each thread also has its own
    heap, made of pieces of at most 64 MiB that are returned and requested again. This affects the whole
    process. Only glibc has these switches; elsewhere the function does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # musl has none
        library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
        library.mallopt(M_ARENA_MAX, 1)
        _ask_for_huge_pages(library)


def _ask_for_huge_pages(library: ctypes.CDLL) -> None:
    """Advise Linux to back the heap with 2 MiB pages, so that a core's TLB covers more memory.

    NumPy does so itself for arrays of 4 MiB and more, but most activations are smaller. Only existing memory
    can be advised, so this grows the heap by allocating a large block and frees it untouched: physical memory
    is taken only when it is used.
    """
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = library.malloc(HUGE_PAGE_BYTES)
    if start is None:  # the address space is limited
        return
    first_page = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    library.madvise(first_page, start + HUGE_PAGE_BYTES - first_page, mmap.MADV_HUGEPAGE)
    library.free(start)
