"""`scratchgpt tokenizer`: train tokenizers, encode and decode text, and show how it is tokenized."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import get_args

import numpy as np
from jsonargparse import Namespace
from rich.console import Console

from scratchgpt.cli.options.data import DATA_HELP
from scratchgpt.cli.parser import Parser
from scratchgpt.corpora import open_corpus
from scratchgpt.corpora.corpus import Format
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import BPETokenizer, Tokenizer, load
from scratchgpt.tokenizers.token_display import colored_tokens, separated_tokens
from scratchgpt.tokenizers.training import Kind, train_tokenizer
from scratchgpt.training.text import announced_progress
from scratchgpt.utils.files import atomic_path, make_folder, read_text
from scratchgpt.utils.validation import nearest
from scratchgpt.utils.words import counted

PROG = "scratchgpt tokenizer"
KINDS = get_args(Kind)
PATH_SUFFIXES = (".txt", ".md", ".json", ".jsonl", ".gz", ".py", ".csv", ".html")


def main(argv: Sequence[str]) -> int:
    """Run a subcommand: train, encode, decode or show; return the exit code."""
    arguments = _parser().parse_args(list(argv))
    options = arguments[arguments.subcommand]
    if arguments.subcommand == "train":
        train(options)
        return 0
    tokenizer = load(options.tokenizer)
    if arguments.subcommand == "encode":
        ids = encode(tokenizer, _text(options.text), options).tolist()
        print(json.dumps(ids) if options.json else " ".join(map(str, ids)))
    elif arguments.subcommand == "decode":
        print(tokenizer.decode(_ids(options.ids)), end="\n" if sys.stdout.isatty() else "")
    else:
        show(tokenizer, _text(options.text), options)
    return 0


def train(options: Namespace) -> None:
    """Train a tokenizer, write its file, and print its size.

    Raises:
        InputError: if the output file exists or cannot be written, there is no text, or a setting is invalid.
    """
    out = Path(options.out or ("tokenizer.model" if options.kind == "sentencepiece" else "tokenizer.json"))
    if out.exists():
        raise InputError(f"{out} already exists; choose another file with --out")
    if options.kind not in KINDS:
        raise InputError(f"kind is {options.kind!r}{nearest(options.kind, KINDS)}")
    make_folder(out.parent)  # fail before training rather than after
    if not options.text and options.kind != "byte":
        raise InputError(
            f"a {options.kind} tokenizer needs text to train on; pass files, or - for standard input"
        )
    corpora = [
        open_corpus(text, format=options.format, text_field=options.text_field) for text in options.text
    ]
    pieces = chain.from_iterable(corpus.pieces() for corpus in corpora)
    tokenizer = train_tokenizer(
        options.kind,
        (piece.text for piece in pieces if not piece.special),
        vocab_size=options.vocab_size,
        pattern=options.pattern,
        special_tokens=options.special or [],
        bar=partial(announced_progress, Console(stderr=True, soft_wrap=True, highlight=False)),
    )
    with atomic_path(out) as temporary:
        temporary.write_bytes(tokenizer.to_bytes())
    fewer = options.kind in ("bpe", "sentencepiece") and tokenizer.vocab_size < options.vocab_size
    print(
        f"{out}: {counted(tokenizer.vocab_size, 'token')}, {len(tokenizer.special_ids)} of them special"
        + (f"; the text yields fewer than {options.vocab_size:,}" if fewer else "")
    )


def encode(tokenizer: Tokenizer, text: str, options: Namespace) -> Array:
    """Return the ids of a text as an int32 array (N,), with the dropout that the options ask for.

    Raises:
        InputError: if dropout is set and the tokenizer is not BPE, or the text cannot be encoded.
    """
    if not options.dropout:
        return tokenizer.encode(text, allow_special=options.allow_special)
    if not isinstance(tokenizer, BPETokenizer):
        raise InputError(f"{options.tokenizer} is not a BPE tokenizer; only those have --dropout")
    rng = np.random.default_rng(options.seed)
    return tokenizer.encode(text, allow_special=options.allow_special, dropout=options.dropout, rng=rng)


def show(tokenizer: Tokenizer, text: str, options: Namespace) -> None:
    """Print a text with its tokens made visible, and the number of characters, bytes and tokens."""
    ids = encode(tokenizer, text, options).tolist()
    console = Console(highlight=False, soft_wrap=True)
    if console.color_system is None or console.no_color:
        print(separated_tokens(tokenizer, ids))
    else:
        console.print(colored_tokens(tokenizer, ids))
    n_bytes = len(text.encode("utf-8"))
    sizes = [counted(len(text), "character"), counted(n_bytes, "byte"), counted(len(ids), "token")]
    if ids:
        sizes.append(f"{n_bytes / len(ids):.2f} bytes per token")
    print(f"\n{', '.join(sizes)}")


def _text(argument: str) -> str:
    """Return the text of a file, of standard input for `-`, or else the argument itself.

    Raises:
        InputError: if the file or standard input cannot be read, or the argument looks like the path of a
            file that does not exist.
    """
    if argument != "-":
        if os.path.isfile(argument):  # noqa: PTH113 - pathlib raises for a text that is too long for a path
            return read_text(argument)
        is_word = not any(map(str.isspace, argument))
        if is_word and ("/" in argument or os.sep in argument or argument.lower().endswith(PATH_SUFFIXES)):
            raise InputError(
                f"{argument} does not exist; if it is text and not a path, pass it through standard input (-)"
            )
        return argument
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input is not UTF-8 at offset {error.start}; expected UTF-8 text"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _ids(arguments: Sequence[str]) -> Iterator[int]:
    """Yield the ids from the arguments, or from standard input for `-`: separate numbers or a JSON list."""
    text = sys.stdin.read() if list(arguments) == ["-"] else " ".join(arguments)
    for word in text.strip().removeprefix("[").removesuffix("]").replace(",", " ").split():
        if not word.isdecimal():
            raise InputError(f"token id is {word!r}; expected a whole number")
        yield int(word)


def _parser() -> Parser:
    parser = _command("Train a tokenizer, encode, decode or show tokens.")
    commands = parser.add_subcommands(required=True)

    train = _command("Train a tokenizer on UTF-8 text and write it to a file.")
    train.add_argument("text", type=str, nargs="*", default=[], help=DATA_HELP)
    train.add_argument(
        "--format", type=str, default="auto", help=f"format of the files: {', '.join(get_args(Format))}"
    )
    train.add_argument(
        "--text-field", type=str, default="text", help="field of JSON lines that holds the text"
    )
    train.add_argument("--kind", type=str, default="bpe", help=f"kind of tokenizer: {', '.join(KINDS)}")
    train.add_argument(
        "--vocab-size",
        type=int,
        default=1024,
        help="maximum number of tokens, special ones included (for bpe and sentencepiece)",
    )
    train.add_argument(
        "--pattern",
        type=str,
        default="gpt2",
        help="how bpe splits text into chunks: gpt2, gpt4, or a regular expression",
    )
    train.add_argument(
        "--special",
        type=str,
        action="append",
        metavar="NAME",
        help="name of a special token, e.g. '<sep>'; repeat the option for several",
    )
    train.add_argument(
        "--out", type=str, help="file to write; default: tokenizer.json, or tokenizer.model for sentencepiece"
    )

    encode = _command("Print the token ids of a text.")
    decode = _command("Print the text of token ids.")
    show = _command("Print a text with its tokens made visible, and count them.")
    for command in (encode, decode, show):
        command.add_argument("tokenizer", type=str, help="tokenizer file, or a folder with one, e.g. a run")
    encode.add_argument("--json", action="store_true", help="print the ids as a JSON list")
    decode.add_argument("ids", type=str, nargs="+", help="token ids, or - for standard input")
    for command in (encode, show):
        command.add_argument("text", type=str, help="a file, - for standard input, or the text itself")
        command.add_argument(
            "--allow-special",
            action="store_true",
            help="parse the names of special tokens in the text as those tokens",
        )
        command.add_argument(
            "--dropout", type=float, default=0.0, help="BPE-dropout: probability of skipping a merge"
        )
        command.add_argument("--seed", type=int, help="random seed for dropout; default: a new one each time")
    commands.add_subcommand("train", train, help="train a tokenizer on text")
    commands.add_subcommand("encode", encode, help="print the token ids of a text")
    commands.add_subcommand("decode", decode, help="print the text of token ids")
    commands.add_subcommand("show", show, help="print a text with its tokens made visible")
    for name, command in commands.choices.items():
        command.prog = f"{PROG} {name}"  # errors begin with it
    return parser


def _command(description: str) -> Parser:
    return Parser(prog=PROG, description=description, allow_abbrev=False)
