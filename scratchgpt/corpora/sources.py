"""Opening the corpus that `--data` names."""

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import get_args

from scratchgpt.corpora.builtin import DIALOGUE_TEXTS, builtin_corpus, names
from scratchgpt.corpora.corpus import Corpus, Errors, Format, Piece
from scratchgpt.corpora.dialogue import SCHEMAS, dialogue_corpus
from scratchgpt.corpora.jsonl import rows
from scratchgpt.corpora.standard_input import spooled, standard_input
from scratchgpt.corpora.text_files import Source, document, example, file_source, whole_text
from scratchgpt.errors import InputError
from scratchgpt.tokenizers.special_tokens import END_OF_TEXT
from scratchgpt.utils import shipped
from scratchgpt.utils.validation import nearest
from scratchgpt.utils.words import counted

TEXT_SUFFIXES = (".txt", ".md", ".jsonl", ".txt.gz", ".md.gz", ".jsonl.gz")
JSONL_SUFFIXES = (".jsonl", ".jsonl.gz")


def open_corpus(
    data: str,
    *,
    format: str = "auto",
    text_field: str = "text",
    errors: str = "strict",
    bot_only: bool = False,
    allow_special: bool = False,
    root: Path | None = None,
) -> Corpus:
    """Return the corpus that `data` names; its text is read lazily, when its pieces are requested.

    `data` is one of the following, tried in this order:

    - the name of a built-in text (`builtin.names`), even if a file has that name: write ./NAME for the file;
    - "-" for standard input;
    - a file;
    - a folder: all files below it whose names end in one of `TEXT_SUFFIXES`, sorted by path, except hidden
      ones; symbolic links to folders are not followed;
    - a glob pattern with *, ? and [], and ** for any number of folders: all matching files, sorted by path.

    A single text file is one document without special tokens. Several files, or JSON lines, are documents
    that each end with `<|endoftext|>`.

    Args:
        data: see above.
        format: "auto" decides by file name; "text"; "jsonl": the documents are in one field of every row;
            "lines": every line that is not blank is an example, with `<|endoftext|>` at both ends;
            "daily-dialog" and "prosocial-dialog": JSON lines in the schemas of those data sets.
        text_field: the field of JSON lines that holds the text.
        errors: how to handle bytes that are not UTF-8: "strict", "replace" or "ignore".
        bot_only: for dialogues, whether only the bot's turns count in the loss.
        allow_special: parse the names of special tokens in the text as those tokens.
        root: the folder to search for files that are not in the current one; None: the folder of the files
            that ship with the package.

    Raises:
        InputError: nothing has that name, or an argument is invalid. Iterating over the pieces raises it if
            the text cannot be read, is empty, or is not in that format.
    """
    root = root or shipped.folder()
    for name, value, known in (("format", format, get_args(Format)), ("errors", errors, get_args(Errors))):
        if value not in known:
            raise InputError(f"{name} is {value!r}{nearest(value, known)}")
    if bot_only and data not in DIALOGUE_TEXTS and format not in SCHEMAS:
        raise InputError(
            f"bot_only is true, and {data} has no bot; use it with the built-in text "
            f"{' or '.join(DIALOGUE_TEXTS)}, or with --corpus.format {' or '.join(SCHEMAS)}"
        )
    if data in names():
        for name, value, default in (("format", format, "auto"), ("text_field", text_field, "text")):
            if value != default:
                raise InputError(
                    f"{name} is {value!r}, but the built-in text {data} takes no {name}; leave it out, or "
                    f"write ./{data} for a file of that name"
                )
        if _exists(Path(data)):
            print(f"using the built-in text {data}; for the file here, write ./{data}", file=sys.stderr)
        corpus = builtin_corpus(data, root, bot_only)
    elif data == "-":
        corpus = _corpus("stdin", [standard_input(errors)], format, text_field, bot_only)
    else:
        name, paths, summary = _find(data, root)
        sources = [_source(path, errors) for path in paths]
        corpus = dataclasses.replace(_corpus(name, sources, format, text_field, bot_only), summary=summary)
    return dataclasses.replace(corpus, allow_special=allow_special)


def _corpus(name: str, sources: Sequence[Source], format: str, text_field: str, bot_only: bool) -> Corpus:
    if format in SCHEMAS:
        dialogues = SCHEMAS[format]
        return dialogue_corpus(
            name, lambda: chain.from_iterable(dialogues(rows(source)) for source in sources), bot_only
        )
    if format == "lines":
        return Corpus(
            name,
            lambda: chain.from_iterable(map(_examples, sources)),
            (END_OF_TEXT,),
            bos=END_OF_TEXT,
            eos=(END_OF_TEXT,),
            padded=True,
        )
    is_jsonl = [
        format == "jsonl" or (format == "auto" and source.name.lower().endswith(JSONL_SUFFIXES))
        for source in sources
    ]
    if is_jsonl == [False]:
        return Corpus(name, lambda: whole_text(sources[0].texts()))

    def pieces() -> Iterator[Piece]:
        for source, has_rows in zip(sources, is_jsonl, strict=True):
            yield from _row_documents(source, text_field) if has_rows else document(source.texts())

    return Corpus(name, pieces, (END_OF_TEXT,), eos=(END_OF_TEXT,))


def _examples(source: Source) -> Iterator[Piece]:
    for _, line in source.lines():
        if line.strip():
            yield from example(line)


def _row_documents(source: Source, text_field: str) -> Iterator[Piece]:
    for row in rows(source):
        text = row.text(text_field)
        if not text.strip():
            raise InputError(f"{row.where}: {text_field!r} is empty; expected text")
        yield from document([text])


def _find(data: str, root: Path) -> tuple[str, list[Path], str | None]:
    """Return a short name for a path or pattern, its files, and for several files a readable summary."""
    path = next((place for place in (Path(data), root / data) if data and _exists(place)), None)
    if path is not None and not path.is_dir():
        return _name(path), [path], None
    if path is not None:
        found, n_others = _within(path)
        read = f"{counted(len(found), 'file')} of {path}"
        return _name(path), found, f"{read}, {n_others:,} skipped" if n_others else read
    parts = Path(data).parts
    n_fixed = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), None)
    if n_fixed is not None:
        folder = Path(*parts[:n_fixed])
        found = _matching(folder, "/".join(parts[n_fixed:]))
        return _name(folder), found, f"{counted(len(found), 'file')} of {data}"
    raise InputError(
        f"{data!r} does not exist: no file, folder or built-in text has this name{nearest(data, names())}"
    )


def _within(folder: Path) -> tuple[list[Path], int]:
    """Return the text files below a folder, and the number of other files; hidden files are ignored."""

    def fail(error: OSError) -> None:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error

    found: list[Path] = []
    n_others = 0
    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(TEXT_SUFFIXES) and not name.startswith("."):
                found.append(Path(place, name))
            elif not name.startswith("."):
                n_others += 1
    if not found:
        others = f", but {n_others:,} others" if n_others else ""
        raise InputError(f"{folder} holds no text files{others}; expected {' '.join(TEXT_SUFFIXES)}")
    return sorted(found, key=Path.as_posix), n_others


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        places = list(folder.glob(pattern))
    except ValueError as error:
        raise InputError(f"{pattern!r} is not a valid file pattern: {error}") from None
    hidden = {place for place in places if any(part[0] == "." for part in place.relative_to(folder).parts)}
    found = [place for place in places if place not in hidden and not place.is_dir()]
    if not found:
        raise InputError(f"no file in {folder} matches {pattern!r}; check the pattern")
    return sorted(set(found), key=Path.as_posix)


def _source(path: Path, errors: str) -> Source:
    if path.is_fifo():
        try:
            with path.open("rb") as pipe:
                return spooled(pipe, str(path), errors)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return file_source(path, errors)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except OSError:  # too long to be a path
        return False


def _name(path: Path) -> str:
    """Return the name of a folder, or of a file without its suffix: short, and valid as a folder name."""
    name = path.resolve().name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem
    return name.lstrip(".") or "data"
