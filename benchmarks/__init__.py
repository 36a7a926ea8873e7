"""Measurements: one module, one command, one table. Nothing here is a test."""
