"""The command line: `scratchgpt COMMAND`, `train.py` and `sample.py`."""
