"""The memory of the emulated device: poisoned when new, between guard zones, counted, and limited."""

import sys
import weakref
from collections.abc import Callable

import numpy as np

ALIGNMENT = 256
GUARD = 256  # bytes before and after every array
POISON = 0xFF  # NaN in every floating type, -1 in every signed integer
TOTAL = 8 << 30  # what the device claims to have, unless `limit` is set

_random = np.random.default_rng(0)
limit: int | None = None  # bytes; tests set it
current = 0  # bytes in use
peak = 0
_alive: "weakref.WeakSet[Block]" = weakref.WeakSet()
_broken: list[str] = []  # what was found when a block was freed


class OutOfMemoryError(MemoryError):
    """The device has no room for an allocation (cupy.cuda.memory.OutOfMemoryError)."""


class IllegalAddress(RuntimeError):
    """A kernel wrote where no array is."""


def _guard_zone() -> np.ndarray:
    """Return the bytes of a guard zone: NaN in every floating type, but another NaN in each place and array.

    Were they all alike, a kernel that reads beyond one array and writes beyond another could pass a NaN on,
    unseen.
    """
    zone = np.full(GUARD, POISON, np.uint8)
    zone[::2] = _random.integers(0x81, 0x100, GUARD // 2)
    return zone


class Block:
    """One allocation; the array that `allocate` returns, and every view of it, keep it alive."""

    def __init__(self, nbytes: int, freed: Callable[[int], None] | None) -> None:
        self.nbytes = nbytes
        self._freed = freed
        self._raw = np.full(nbytes + 2 * GUARD + ALIGNMENT, POISON, np.uint8)
        self._guard = _guard_zone()
        address = self._raw.ctypes.data + GUARD
        address += -address % ALIGNMENT
        self._start = address - self._raw.ctypes.data
        self.repair()
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }

    def damage(self) -> str | None:
        """Return what is wrong with the guard zones, if anything is."""
        where = [name for name, zone in self._zones().items() if (zone != self._guard).any()]
        if not where:
            return None
        return f"the guard zone {' and '.join(where)} an array of {self.nbytes} bytes was overwritten"

    def repair(self) -> None:
        """Write the guard zones anew."""
        for zone in self._zones().values():
            zone[...] = self._guard

    def _zones(self) -> dict[str, np.ndarray]:
        end = self._start + self.nbytes
        return {"before": self._raw[self._start - GUARD : self._start], "after": self._raw[end : end + GUARD]}

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        global current  # noqa: PLW0603
        if is_finalizing():  # a default, because the module's own names may be gone by then
            return
        current -= self.nbytes
        if self._freed is not None:
            self._freed(self.nbytes)
        if damage := self.damage():
            _broken.append(damage)


def allocate(nbytes: int, freed: Callable[[int], None] | None = None) -> np.ndarray:
    """Return `nbytes` bytes of poisoned memory, aligned to 256; `freed(nbytes)` is called when it goes."""
    global current, peak  # noqa: PLW0603
    if limit is not None and current + nbytes > limit:
        raise OutOfMemoryError(
            f"Out of memory allocating {nbytes:,} bytes (allocated so far: {current:,} bytes, "
            f"limit set to: {limit:,} bytes)."
        )
    block = Block(nbytes, freed)
    current += nbytes
    peak = max(peak, current)
    _alive.add(block)
    return np.asarray(block)


def check_guards() -> None:
    """Raise if anything was written outside an array since the last check."""
    found = [*_broken, *(damage for block in list(_alive) if (damage := block.damage()))]
    _broken.clear()
    if found:
        raise IllegalAddress("cudaErrorIllegalAddress: " + "; ".join(found))


def forget_damage() -> None:
    """Repair all guard zones, so that a mistake that has been found is not found again."""
    _broken.clear()
    for block in list(_alive):
        block.repair()


def reset_peak() -> None:
    """Forget how much was in use before."""
    global peak  # noqa: PLW0603
    peak = current


def owner(array: np.ndarray) -> object:
    """Return what holds the array's memory, the same object for every view of it."""
    holder: object = array
    while isinstance(holder, np.ndarray) and holder.base is not None:
        holder = holder.base
    return holder
