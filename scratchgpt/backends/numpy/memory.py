"""Memory for NumPy's arrays: kept when it is freed, and on huge pages.

Both are settings of the whole process, made when the `numpy` backend is created. SCRATCHGPT_TUNE=0 turns
them off (utils/tuning.py).
"""

import ctypes
import functools
import mmap
import sys

from scratchgpt.utils import tuning

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # the names and numbers of glibc's malloc.h
HUGE_PAGE_BYTES = 1 << 29  # size of the beginning of the heap for which huge pages are requested


@functools.cache
def keep_freed_memory() -> None:
    """Make glibc's malloc serve all arrays from one heap that never shrinks; once per process.

    By default each array of more than 128 KiB is new memory from the kernel, which clears it page by page at
    the first touch: 40 % of a training step of the default model (docs/log.md). Each thread also has its own
    heap, in pieces of at most 64 MiB, which are returned to the kernel and requested again. The allocators
    of other systems have no such options, so nothing happens there, nor with SCRATCHGPT_TUNE=0.
    """
    if not sys.platform.startswith("linux") or not tuning.is_enabled():
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # musl has none
        library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
        library.mallopt(M_ARENA_MAX, 1)
        _ask_for_huge_pages(library)


def _ask_for_huge_pages(library: ctypes.CDLL) -> None:
    """Advise Linux to back the heap with pages of 2 MiB, so that a core's TLB covers more memory.

    NumPy does this itself for arrays of 4 MiB and more, but most activations are smaller. Advice needs an
    existing heap, so this allocates one and frees it untouched, which uses no physical memory.
    """
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = library.malloc(HUGE_PAGE_BYTES)
    if start is None:  # the address space is limited (ulimit -v)
        return
    first_page = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    library.madvise(first_page, start + HUGE_PAGE_BYTES - first_page, mmap.MADV_HUGEPAGE)
    library.free(start)
