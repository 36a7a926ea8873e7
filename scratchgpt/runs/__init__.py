"""A run on disk, its record, and how it is drawn."""
