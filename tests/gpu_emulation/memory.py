"""The memory of the emulated device: poisoned when allocated, between guard zones, counted and limited."""

import sys
import weakref
from collections.abc import Callable

import numpy as np

ALIGNMENT = 256
GUARD = 256  # bytes before and after every array
POISON = 0xFF  # NaN in every floating type, -1 in every signed integer
TOTAL = 8 << 30  # bytes that the device claims to have, unless `limit` is set

_random = np.random.default_rng(0)
limit: int | None = None  # bytes; tests set it
current = 0  # bytes in use
peak = 0
_alive: "weakref.WeakSet[Block]" = weakref.WeakSet()
_broken: list[str] = []  # damage found when blocks were freed


class OutOfMemoryError(MemoryError):
    """The device has not enough memory for an allocation (cupy.cuda.memory.OutOfMemoryError)."""


class IllegalAddress(RuntimeError):
    """A kernel wrote outside every array."""


def _guard_zone() -> np.ndarray:
    """Return the bytes of a guard zone: NaN in every floating type, but different NaNs everywhere.

    With equal ones, a kernel that reads beyond one array and writes that value beyond another would go
    unnoticed.
    """
    zone = np.full(GUARD, POISON, np.uint8)
    zone[::2] = _random.integers(0x81, 0x100, GUARD // 2)
    return zone


class Block:
    """One allocation, kept alive by the array that `allocate` returns and by all its views."""

    def __init__(self, nbytes: int, freed: Callable[[int], None] | None) -> None:
        self.nbytes = nbytes
        self._freed = freed
        self._raw = np.full(nbytes + 2 * GUARD + ALIGNMENT, POISON, np.uint8)
        self._guard = _guard_zone()
        address = self._raw.ctypes.data + GUARD
        address += -address % ALIGNMENT
        start = address - self._raw.ctypes.data
        end = start + nbytes
        self._before, self._after = self._raw[start - GUARD : start], self._raw[end : end + GUARD]
        self._intact = self._guard.tobytes()
        self.repair()
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }

    def damage(self) -> str | None:
        """Return a description of the damage to the guard zones, or None."""
        # Every launch checks every block. Comparing bytes is much faster than comparing NumPy arrays.
        if self._before.tobytes() == self._intact == self._after.tobytes():
            return None
        zones = {"before": self._before, "after": self._after}
        where = [name for name, zone in zones.items() if zone.tobytes() != self._intact]
        return f"the guard zone {' and '.join(where)} an array of {self.nbytes} bytes was overwritten"

    def repair(self) -> None:
        """Restore the guard zones."""
        self._before[...] = self._after[...] = self._guard

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        global current  # noqa: PLW0603
        if is_finalizing():  # a default argument, because the module's names may be gone by then
            return
        current -= self.nbytes
        if self._freed is not None:
            self._freed(self.nbytes)
        if damage := self.damage():
            _broken.append(damage)


def allocate(nbytes: int, freed: Callable[[int], None] | None = None) -> np.ndarray:
    """Return `nbytes` bytes of poisoned memory, aligned to 256; freeing them calls `freed(nbytes)`."""
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
    """Raise IllegalAddress if anything was written outside an array since the last check."""
    found = [*_broken, *(damage for block in list(_alive) if (damage := block.damage()))]
    _broken.clear()
    if found:
        raise IllegalAddress("cudaErrorIllegalAddress: " + "; ".join(found))


def forget_damage() -> None:
    """Repair all guard zones, so that a mistake is not reported twice."""
    _broken.clear()
    for block in list(_alive):
        block.repair()


def reset_peak() -> None:
    """Set the peak to what is in use now."""
    global peak  # noqa: PLW0603
    peak = current


def owner(array: np.ndarray) -> object:
    """Return the object that holds the array's memory, the same for all its views."""
    holder: object = array
    while isinstance(holder, np.ndarray) and holder.base is not None:
        holder = holder.base
    return holder
