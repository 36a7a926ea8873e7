"""The parts of `scratchgpt chat`: the conversation, its commands, its loop and its files."""
