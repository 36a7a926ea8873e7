"""Measurements: one module, one command, one table. Nothing here is a test."""

import scratchgpt as scratchgpt  # before any module here loads NumPy, see scratchgpt/utils/openblas.py
