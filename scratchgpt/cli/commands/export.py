"""`scratchgpt export`: a model in the files of other programs."""

from collections.abc import Sequence
from typing import get_args

from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.float_types import FloatType
from scratchgpt.language_model.formats.gguf_export import export_gguf
from scratchgpt.language_model.formats.huggingface_export import export_huggingface
from scratchgpt.language_model.loading import load
from scratchgpt.utils.validation import nearest

PROG = "scratchgpt export"


def main(argv: Sequence[str]) -> int:
    """Write a model as Hugging Face's transformers or llama.cpp reads it; return the exit code."""
    arguments = _parser().parse_args(list(argv))
    options = arguments[arguments.subcommand]
    if options.dtype not in get_args(FloatType):
        raise InputError(f"dtype is {options.dtype!r}{nearest(options.dtype, get_args(FloatType))}")
    lm = load(options.run, checkpoint=options.checkpoint)
    export = export_huggingface if arguments.subcommand == "hf" else export_gguf
    export(lm, options.out, options.dtype)
    print(f"{options.out}: {lm.model.size:,} parameters, {options.dtype}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog=PROG, description="Write a model in the files of other programs.", allow_abbrev=False
    )
    commands = parser.add_subcommands(required=True)
    for name, description, out in (
        ("hf", "Write a folder that Hugging Face's transformers opens.", "a new folder"),
        ("gguf", "Write a GGUF file for llama.cpp.", "a new file"),
    ):
        command = Parser(prog=PROG, description=description, allow_abbrev=False)
        command.add_argument("run", type=str, help="the folder of a run, or any model that sg.load opens")
        command.add_argument("out", type=str, help=out)
        command.add_argument(
            "--dtype", type=str, default="float32", help="of the weights: float32, float16 or bfloat16"
        )
        command.add_argument(
            "--checkpoint", type=str | None, help="best or last; default: the best if there is one"
        )
        commands.add_subcommand(name, command, help=description)
        command.prog = f"{PROG} {name}"  # errors begin with it
    return parser
