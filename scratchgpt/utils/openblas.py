"""Which matrix-product kernels OpenBLAS takes: a choice that must be made before NumPy is loaded.

AMD's Zen 4 executes AVX-512 in two halves, so OpenBLAS's kernels for it win nothing there, and those for
AVX2, which it calls Zen, are a few per cent faster (docs/log.md). OpenBLAS reads its choice from the
environment when NumPy loads it.
"""

import os
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"


def prefer_fast_kernels(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Ask for the AVX2 kernels on a Zen 4, unless the user has chosen; of no effect once NumPy is there."""
    if VARIABLE in os.environ:
        return
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:  # not Linux
        return
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    family_of_zen_3_and_4 = facts.get("vendor_id") == "AuthenticAMD" and facts.get("cpu family") == "25"
    if family_of_zen_3_and_4 and "avx512f" in facts.get("flags", "").split():
        os.environ[VARIABLE] = "Zen"


prefer_fast_kernels()
