"""Figures from machines other than the one that the JSON files describe, quoted on docs/benchmarks.md.

They were measured with the same commands; the JSON files hold one machine at a time.
"""

from benchmarks.tables import Table

INTEL_TRAIN_STEP = Table(
    "The same command on an Intel machine, 2026-11-30: milliseconds per training step",
    [
        "model",
        "scratchgpt",
        "PyTorch",
        "PyTorch compiled",
        "PyTorch bfloat16",
        "ratio",
        "ratio on AMD EPYC, 2026-11-22",
    ],
    [
        ["780", "0.44", "1.15", "1.04", "1.73", "2.36", "2.17"],
        ["4x4x128", "33.3", "28.9", "28.8", "64.9", "**0.87**", "1.12"],
        ["6x6x384", "1,348", "1,284", "1,311", "2,232", "**0.95**", "1.13"],
        ["12x12x768", "3,777", "3,624", "3,430", "6,378", "**0.91**", "1.25"],
    ],
    "**On this machine PyTorch is ahead in three of four rows.** Measured with `python -m "
    "benchmarks.train_step` while nothing else ran; NumPy 2.4.6, PyTorch 2.13 (CPU). NumPy's sgemm is half "
    "again as fast as on the AMD machine, 155 instead of 107 GFLOP/s per core, so everything that is not a "
    "matrix product weighs more. Without AMX, PyTorch is slower with bfloat16 than with float32.",
    "Intel Emerald Rapids, 2 cores, AVX-512, no AMX",
)
INTEL_GENERATE = Table(
    "The same command on an Intel machine, 2026-11-30: new tokens per second",
    ["model", "scratchgpt", "transformers", "ratio", "ratio on AMD EPYC, 2026-11-22"],
    [
        ["4x4x128", "3,316", "680", "4.9", "6.45"],
        ["6x6x384", "691", "292", "2.4", "2.52"],
        ["12x12x768", "51", "41.5", "1.24", "1.90"],
    ],
    "Measured with `python -m benchmarks.generate`. The column bandwidth is left out: it reads 156 % there, "
    "because the 16 GB/s that the dot products reach are less than this machine's memory can deliver.",
    "Intel Emerald Rapids, 2 cores, AVX-512, no AMX",
)
