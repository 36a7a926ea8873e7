"""Benchmarks and checks on a GPU: `python -m benchmarks.gpu`."""
