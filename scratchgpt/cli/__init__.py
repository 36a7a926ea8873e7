"""The command line: `scratchgpt COMMAND`, and train.py and sample.py, which are two of the commands."""
