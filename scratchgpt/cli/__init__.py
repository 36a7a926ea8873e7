"""The command line: settings from a YAML file, overridden by flags, with errors in words."""

from scratchgpt.cli.errors import errors_in_words
from scratchgpt.cli.parser import DATA_HELP, Parser
from scratchgpt.cli.sample import SampleOptions, parse_sample_args
from scratchgpt.cli.train import find, parse_train_args

__all__ = [
    "DATA_HELP",
    "Parser",
    "SampleOptions",
    "errors_in_words",
    "find",
    "parse_sample_args",
    "parse_train_args",
]
