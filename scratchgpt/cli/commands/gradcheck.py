"""`scratchgpt gradcheck`, also `python -m scratchgpt.gradcheck`: check every gradient."""

from scratchgpt.gradcheck.__main__ import main as main
