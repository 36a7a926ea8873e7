"""`scratchgpt tokenizer`: train tokenizers, turn text into ids and back, see the cuts."""

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
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import BPETokenizer, Tokenizer, load
from scratchgpt.tokenizers.showing import in_colours, in_words
from scratchgpt.tokenizers.training import Kind, train_tokenizer
from scratchgpt.training.text import progress_shown
from scratchgpt.utils.files import atomic_path, make_folder, read_text
from scratchgpt.utils.validation import nearest
from scratchgpt.utils.words import counted

PROG = "scratchgpt tokenizer"
KINDS = get_args(Kind)
ENDINGS = (".txt", ".md", ".json", ".jsonl", ".gz", ".py", ".csv", ".html")


def main(argv: Sequence[str]) -> int:
    """Train a tokenizer, or encode, decode or show a text; return the exit code."""
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
    """Train a tokenizer on some texts and write its file."""
    out = Path(options.out or ("tokenizer.model" if options.kind == "sentencepiece" else "tokenizer.json"))
    if out.exists():
        raise InputError(f"{out} is there already; expected another --out")
    if options.kind not in KINDS:
        raise InputError(f"kind is {options.kind!r}{nearest(options.kind, KINDS)}")
    make_folder(out.parent)  # better known now than after the training
    if not options.text and options.kind != "byte":
        raise InputError(
            f"no text for a tokenizer of kind {options.kind}; expected files, or - for standard input"
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
        bar=partial(progress_shown, Console(stderr=True, soft_wrap=True, highlight=False)),
    )
    with atomic_path(out) as temporary:
        temporary.write_bytes(tokenizer.to_bytes())
    fewer = options.kind in ("bpe", "sentencepiece") and tokenizer.vocab_size < options.vocab_size
    print(
        f"{out}: {counted(tokenizer.vocab_size, 'token')}, {len(tokenizer.special_ids)} of them special"
        + (f"; the text yields no {options.vocab_size:,}" if fewer else "")
    )


def encode(tokenizer: Tokenizer, text: str, options: Namespace) -> Array:
    """Return the ids of a text, with or without dropout."""
    if not options.dropout:
        return tokenizer.encode(text, allow_special=options.allow_special)
    if not isinstance(tokenizer, BPETokenizer):
        raise InputError(f"dropout is {options.dropout}; expected none, since {options.tokenizer} is no BPE")
    rng = np.random.default_rng(options.seed)
    return tokenizer.encode(text, allow_special=options.allow_special, dropout=options.dropout, rng=rng)


def show(tokenizer: Tokenizer, text: str, options: Namespace) -> None:
    """Print a text with its tokens made visible, and what it comes to."""
    ids = encode(tokenizer, text, options).tolist()
    console = Console(highlight=False, soft_wrap=True)
    if console.color_system is None or console.no_color:
        print(in_words(tokenizer, ids))
    else:
        console.print(in_colours(tokenizer, ids))
    n_bytes = len(text.encode("utf-8"))
    per_token = f"{n_bytes / len(ids):.2f}" if ids else "no"
    sizes = (counted(len(text), "character"), counted(n_bytes, "byte"), counted(len(ids), "token"))
    print(f"\n{', '.join(sizes)}, {per_token} bytes per token")


def _text(words: str) -> str:
    """Return the text of a file, or of standard input if it is called `-`, or else the words themselves.

    Raises:
        InputError: a file that cannot be read, or a word that looks like the path of one that is not there.
    """
    if words != "-":
        if os.path.isfile(words):  # noqa: PTH113 - pathlib raises for a text that is too long for a path
            return read_text(words)
        is_word = not any(map(str.isspace, words))
        if is_word and ("/" in words or os.sep in words or words.lower().endswith(ENDINGS)):
            raise InputError(
                f"{words} is no file that exists; expected one, or text (- takes any from standard input)"
            )
        return words
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input is not UTF-8 at offset {error.start}; expected UTF-8 text"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _ids(words: Sequence[str]) -> Iterator[int]:
    """Yield the ids that were given, as words or as a JSON list; `-` stands for standard input."""
    text = sys.stdin.read() if list(words) == ["-"] else " ".join(words)
    for word in text.strip().removeprefix("[").removesuffix("]").replace(",", " ").split():
        if not word.isdecimal():
            raise InputError(f"token id is {word!r}; expected a whole number")
        yield int(word)


def _parser() -> Parser:
    parser = _command("Train a tokenizer, encode, decode or show tokens.")
    commands = parser.add_subcommands(required=True)

    train = _command("Train a tokenizer on texts (UTF-8).")
    train.add_argument("text", type=str, nargs="*", default=[], help=DATA_HELP)
    train.add_argument("--format", type=str, default="auto", help="what the files hold, as --corpus.format")
    train.add_argument(
        "--text-field", type=str, default="text", help="the field of JSON lines that holds the text"
    )
    train.add_argument("--kind", type=str, default="bpe", help=", ".join(KINDS))
    train.add_argument("--vocab-size", type=int, default=1024, help="number of ids, of bpe and sentencepiece")
    train.add_argument("--pattern", type=str, default="gpt2", help="how bpe splits: gpt2, gpt4, or a regex")
    train.add_argument("--special", type=str, action="append", help="a special token; may be repeated")
    train.add_argument("--out", type=str, help="the file to write; default: tokenizer.json or .model")

    encode = _command("Print the ids of a text.")
    decode = _command("Print the text of ids.")
    show = _command("Print a text with its tokens made visible.")
    for command in (encode, decode, show):
        command.add_argument("tokenizer", type=str, help="a tokenizer's file, or a folder that holds it")
    encode.add_argument("--json", action="store_true", help="print a JSON list")
    decode.add_argument("ids", type=str, nargs="+", help="ids, or - for standard input")
    for command in (encode, show):
        command.add_argument("text", type=str, help="a file, - for standard input, or else the text itself")
        command.add_argument(
            "--allow-special", action="store_true", help="names of special tokens become these tokens"
        )
        command.add_argument(
            "--dropout", type=float, default=0.0, help="BPE-dropout: how often to pass a merge"
        )
        command.add_argument("--seed", type=int, help="of dropout; default: another each time")
    commands.add_subcommand("train", train, help="train a tokenizer")
    commands.add_subcommand("encode", encode, help="text to ids")
    commands.add_subcommand("decode", decode, help="ids to text")
    commands.add_subcommand("show", show, help="where a text is cut")
    for name, command in commands.choices.items():
        command.prog = f"{PROG} {name}"  # errors begin with it
    return parser


def _command(description: str) -> Parser:
    return Parser(prog=PROG, description=description, allow_abbrev=False)
