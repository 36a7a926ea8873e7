"""Command-line options and the settings they become."""
