"""`scratchgpt export`: write a model in the formats of other programs."""

from collections.abc import Sequence

from scratchgpt.cli.options.model import add_checkpoint_argument
from scratchgpt.cli.parser import Parser
from scratchgpt.language_model.formats.float_types import FloatType
from scratchgpt.language_model.formats.gguf_export import export_gguf
from scratchgpt.language_model.formats.huggingface_export import export_huggingface
from scratchgpt.language_model.loading import load

PROG = "scratchgpt export"


def main(argv: Sequence[str]) -> int:
    """Write a model as Hugging Face's transformers or llama.cpp reads it; return the exit code.

    Raises:
        InputError: if an option is invalid, or the model cannot be loaded or does not fit the format.
    """
    arguments = _parser().parse_args(argv)
    options = arguments[arguments.subcommand]
    model = load(options.run, checkpoint=options.checkpoint)
    export = export_huggingface if arguments.subcommand == "hf" else export_gguf
    export(model, options.out, options.dtype)
    print(f"{options.out}: {model.model.size:,} parameters, {options.dtype}")
    return 0


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Export a model to transformers (hf) or llama.cpp (gguf).")
    hf = parser.add_command("hf", "Write a folder that Hugging Face's transformers loads.")
    gguf = parser.add_command("gguf", "Write a GGUF file for llama.cpp.")
    for command, out in ((hf, "the folder to create"), (gguf, "the file to create")):
        command.add_argument(
            "run", metavar="RUN", type=str, help="the folder of a run, or any model that sg.load opens"
        )
        command.add_argument("out", metavar="OUT", type=str, help=out)
        command.add_argument(
            "--dtype",
            type=FloatType,
            default="float32",
            help="type of the weights: float32, float16 or bfloat16",
        )
        add_checkpoint_argument(command)
    return parser
