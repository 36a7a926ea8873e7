"""Helpers that know nothing about models: files, folders, the terminal, signals, numbers as text."""
