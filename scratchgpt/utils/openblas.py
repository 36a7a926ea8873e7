"""Choose OpenBLAS's matrix-product kernels, which has to happen before NumPy is imported.

Zen 4 executes each AVX-512 instruction in two halves, so OpenBLAS's AVX-512 kernels gain nothing there, and
its AVX2 kernels, named Zen, are a few percent faster (docs/log.md). OpenBLAS reads the choice from the
environment variable OPENBLAS_CORETYPE when NumPy loads it, so importing this module sets the variable, for
this process and its children. SCRATCHGPT_TUNE=0 turns that off (utils/tuning.py).
"""

import os
from pathlib import Path

from scratchgpt.utils import tuning

VARIABLE = "OPENBLAS_CORETYPE"


def prefer_fast_kernels(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Select the AVX2 kernels on Zen 4, unless the user has chosen; too late once NumPy is imported."""
    if VARIABLE in os.environ or not tuning.is_enabled():
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
