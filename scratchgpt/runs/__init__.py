"""A run on disk: its folder and its metrics, their plots, and a summary."""
