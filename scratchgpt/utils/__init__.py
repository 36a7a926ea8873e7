"""Helpers that know nothing of models: files, folders, the terminal, cores, words."""
