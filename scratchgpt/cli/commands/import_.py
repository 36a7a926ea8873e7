"""`scratchgpt import`: turn models of other programs into runs."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from scratchgpt import tokenizers
from scratchgpt.backends import get_backend
from scratchgpt.cli.parser import Parser
from scratchgpt.config import Activation
from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.nanogpt import characters_of, load_nanogpt
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.language_model.loading import load
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.special_tokens import END_OF_TEXT

PROG = "scratchgpt import"
TEXT_OR_TOKENIZER = (
    "--text with the training text if its characters are the tokens, else --tokenizer with a tokenizer's "
    "file, the folder of a run, or a folder with GPT-2's vocab.json and merges.txt"
)


def main(argv: Sequence[str]) -> int:
    """Write a folder that `sg.load` and `scratchgpt sample` open; return the exit code.

    Raises:
        InputError: if an option is invalid, or the model or tokenizer cannot be loaded.
    """
    arguments = _parser().parse_args(argv)
    options = arguments[arguments.subcommand]
    model = load(options.model) if arguments.subcommand == "hf" else _from_nanogpt(options)
    model.save(options.out)
    print(f"{options.out}: {model.model.size:,} parameters")
    return 0


def _from_nanogpt(options: Namespace) -> LanguageModel:
    model, params = load_nanogpt(options.checkpoint, options.activation)
    tokenizer = _tokenizer(options, model.config.vocab_size)
    end = tokenizer.special_ids.get(END_OF_TEXT)
    return LanguageModel(model, params, tokenizer, get_backend(), end, () if end is None else (end,))


def _tokenizer(options: Namespace, vocab_size: int) -> Tokenizer:
    """Return the tokenizer, which a nanoGPT checkpoint does not contain."""
    if bool(options.text) == bool(options.tokenizer):
        raise InputError(
            f"--tokenizer is {options.tokenizer} and --text is {options.text}; expected one of them: "
            f"{TEXT_OR_TOKENIZER}"
        )
    if options.text:
        return characters_of(options.text, vocab_size)
    if Path(options.tokenizer).suffix == ".pkl":
        raise InputError(f"{options.tokenizer} is a pickle, which we never open; pass {TEXT_OR_TOKENIZER}")
    return tokenizers.load(options.tokenizer)


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Import a model from Hugging Face (hf) or nanoGPT.")
    hf = parser.add_command("hf", "Import a GPT-2 in Hugging Face's format.")
    nanogpt = parser.add_command("nanogpt", "Import a nanoGPT checkpoint.")
    hf.add_argument(
        "model", metavar="MODEL", type=str, help="a folder, a .safetensors file, or a name such as gpt2"
    )
    nanogpt.add_argument("checkpoint", metavar="CHECKPOINT", type=str, help="the file ckpt.pt")
    for command in (hf, nanogpt):
        command.add_argument("out", metavar="OUT", type=str, help="the folder to create")
    nanogpt.add_argument(
        "--text",
        type=str | None,
        metavar="FILE",
        help="the training text (input.txt), if the tokens are characters",
    )
    nanogpt.add_argument(
        "--tokenizer",
        type=str | None,
        metavar="PATH",
        help="a tokenizer's file, the folder of a run, or a folder with GPT-2's vocab.json and merges.txt",
    )
    nanogpt.add_argument(
        "--activation",
        type=Activation,
        default="gelu_exact",
        help="gelu_tanh for the first versions of nanoGPT",
    )
    return parser
