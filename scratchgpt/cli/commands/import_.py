"""`scratchgpt import`: models of other programs as runs of ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

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
from scratchgpt.utils.validation import nearest

PROG = "scratchgpt import"


def main(argv: Sequence[str]) -> int:
    """Write a folder that `sg.load` and sample.py open; return the exit code."""
    arguments = _parser().parse_args(list(argv))
    options = arguments[arguments.subcommand]
    lm = load(options.model) if arguments.subcommand == "hf" else _from_nanogpt(options)
    lm.save(options.out)
    print(f"{options.out}: {lm.model.size:,} parameters")
    return 0


def _from_nanogpt(options: Namespace) -> LanguageModel:
    if options.activation not in get_args(Activation):
        raise InputError(
            f"activation is {options.activation!r}{nearest(options.activation, get_args(Activation))}"
        )
    model, params = load_nanogpt(options.checkpoint, options.activation)
    tokenizer = _tokenizer(options, model.config.vocab_size)
    end = tokenizer.special_ids.get(END_OF_TEXT)
    return LanguageModel(model, params, tokenizer, get_backend(), end, () if end is None else (end,))


def _tokenizer(options: Namespace, vocab_size: int) -> Tokenizer:
    """Return the tokenizer, which a checkpoint of nanoGPT does not hold."""
    if options.text and not options.tokenizer:
        return characters_of(options.text, vocab_size)
    if options.tokenizer and not options.text and Path(options.tokenizer).suffix != ".pkl":
        return tokenizers.load(options.tokenizer)
    raise InputError(
        f"--tokenizer is {options.tokenizer} and --text is {options.text}; expected one of them: the text, "
        "if the tokens are its characters, or else a tokenizer's file, the folder of a run, or one with "
        "GPT-2's two files (meta.pkl is a pickle, which we never open)"
    )


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Make a run of another program's model.", allow_abbrev=False)
    commands = parser.add_subcommands(required=True)
    hf, nanogpt = (
        Parser(prog=PROG, description=description, allow_abbrev=False)
        for description in ("Take a GPT-2 in Hugging Face's format.", "Take a checkpoint of nanoGPT.")
    )
    hf.add_argument("model", type=str, help="a folder, a .safetensors file, or a name such as gpt2")
    nanogpt.add_argument("checkpoint", type=str, help="the file, ckpt.pt")
    for command in (hf, nanogpt):
        command.add_argument("out", type=str, help="a new folder")
    nanogpt.add_argument("--text", type=str | None, help="input.txt, if the tokens are characters")
    nanogpt.add_argument(
        "--tokenizer",
        type=str | None,
        help="a tokenizer's file, or a folder that has one: a run, GPT-2's files",
    )
    nanogpt.add_argument(
        "--activation", type=str, default="gelu_exact", help="gelu_tanh for nanoGPT's first versions"
    )
    for name, command in (("hf", hf), ("nanogpt", nanogpt)):
        commands.add_subcommand(name, command, help=command.description)
        command.prog = f"{PROG} {name}"  # errors begin with it
    return parser
