"""`python -m scratchgpt.tokenizers`: train tokenizers, turn text into ids and back, see the cuts."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jsonargparse import Namespace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scratchgpt.cli import Parser, errors_in_words
from scratchgpt.errors import InputError
from scratchgpt.files import atomic_path, make_folder, read_text
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    load,
)
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.showing import in_colours, in_words
from scratchgpt.tokenizers.split_patterns import pattern_named

PROG = "python -m scratchgpt.tokenizers"
KINDS = ("bpe", "byte", "char", "sentencepiece")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the command line names."""
    arguments = _parser().parse_args(argv)
    options = arguments[arguments.subcommand]
    if arguments.subcommand == "train":
        train(options)
        return
    tokenizer = load(options.tokenizer)
    if arguments.subcommand == "encode":
        ids = encode(tokenizer, _text(options.text), options).tolist()
        print(json.dumps(ids) if options.json else " ".join(map(str, ids)))
    elif arguments.subcommand == "decode":
        print(tokenizer.decode(_ids(options.ids)), end="\n" if sys.stdout.isatty() else "")
    else:
        # A text may be too long for a path, which pathlib would raise for.
        is_file = options.text == "-" or os.path.isfile(options.text)  # noqa: PTH113
        show(tokenizer, _text(options.text) if is_file else options.text, options)


def train(options: Namespace) -> None:
    """Train a tokenizer on some texts and write its file."""
    out = Path(options.out or ("tokenizer.model" if options.kind == "sentencepiece" else "tokenizer.json"))
    if out.exists():
        raise InputError(f"{out} is there already; expected another --out")
    if options.kind not in KINDS:
        raise InputError(f"kind is {options.kind!r}; expected one of {', '.join(KINDS)}")
    make_folder(out.parent)  # better known now than after the training
    if not options.text and options.kind != "byte":
        raise InputError(
            f"no text for a tokenizer of kind {options.kind}; expected files, or - for standard input"
        )
    tokenizer = _trained(options)
    with atomic_path(out) as temporary:
        temporary.write_bytes(tokenizer.to_bytes())
    fewer = options.kind in ("bpe", "sentencepiece") and tokenizer.vocab_size < options.vocab_size
    print(
        f"{out}: {tokenizer.vocab_size} tokens, {len(tokenizer.special_ids)} of them special"
        + (f"; the text yields no {options.vocab_size}" if fewer else "")
    )


def _trained(options: Namespace) -> Tokenizer:
    texts, specials = map(_text, options.text), options.special or []
    if options.kind == "char":
        return CharTokenizer.train(texts, specials=specials)
    if options.kind == "byte":
        return ByteTokenizer(specials)
    if options.kind == "sentencepiece":
        return SentencePieceTokenizer.train(texts, options.vocab_size, specials)
    pattern = pattern_named(options.pattern)
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(compact=True), console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("reading", total=None)
        chunks = count_chunks(texts, pattern)
        bar.update(task, description="merging")
        return train_bpe(
            chunks, options.vocab_size, pattern, specials,
            lambda made, wanted: bar.update(task, completed=made, total=wanted),
        )  # fmt: skip


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
    print(f"\n{len(text)} characters, {n_bytes} bytes, {len(ids)} tokens, {per_token} bytes per token")


def _text(path: str) -> str:
    """Return the text of a file, or of standard input if it is called `-`."""
    if path != "-":
        return read_text(path)
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
    parser = _command("Train tokenizers and look at what they do.")
    commands = parser.add_subcommands(required=True)

    train = _command("Train a tokenizer on text files (UTF-8).")
    train.add_argument("text", type=str, nargs="*", default=[], help="files, or - for standard input")
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
    encode.add_argument("text", type=str, help="a file, or - for standard input")
    encode.add_argument("--json", action="store_true", help="print a JSON list")
    decode.add_argument("ids", type=str, nargs="+", help="ids, or - for standard input")
    show.add_argument("text", type=str, help="a file, - for standard input, or else the text itself")
    for command in (encode, show):
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


if __name__ == "__main__":
    with errors_in_words(PROG):
        main()
