"""The switch for the two settings of the process that scratchgpt changes to run faster.

SCRATCHGPT_TUNE=0 in the environment turns both off: OPENBLAS_CORETYPE, set when scratchgpt is imported
(utils/openblas.py), and glibc's malloc options, set when the `numpy` backend is created
(backends/numpy/memory.py). Results differ by rounding at most.
"""

import os

VARIABLE = "SCRATCHGPT_TUNE"
OFF = ("0", "false", "no", "off")


def is_enabled() -> bool:
    """Return whether scratchgpt may tune this process: not if SCRATCHGPT_TUNE is 0, false, no or off."""
    return os.environ.get(VARIABLE, "").lower() not in OFF
