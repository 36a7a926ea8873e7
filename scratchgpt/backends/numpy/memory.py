"""Where NumPy's arrays lie: in memory that is kept when it is freed, on huge pages."""

import ctypes
import functools
import mmap
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # the names and numbers of glibc's malloc.h
HEAP = 1 << 29  # bytes of addresses, at the beginning of the heap, that huge pages are asked for


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
        _ask_for_huge_pages(library)


def _ask_for_huge_pages(library: ctypes.CDLL) -> None:
    """Advise Linux to back the heap with pages of 2 MiB: a core's TLB covers more memory with them.

    NumPy does so itself for arrays of 4 MiB and more; most activations are smaller. The heap has to be there
    to be advised, so it is made to grow, and freed untouched: no memory is taken before it is used.
    """
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = library.malloc(HEAP)
    if start is None:  # a limit on addresses
        return
    first_page = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    library.madvise(first_page, start + HEAP - first_page, mmap.MADV_HUGEPAGE)
    library.free(start)
