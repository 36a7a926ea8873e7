"""From what a user names with `--data` to a corpus."""

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import get_args

from scratchgpt.corpora.builtin import DIALOGUES, builtin_corpus, names
from scratchgpt.corpora.corpus import Corpus, Errors, Format, Piece
from scratchgpt.corpora.dialogue import SCHEMAS, dialogue_corpus
from scratchgpt.corpora.jsonl import rows
from scratchgpt.corpora.standard_input import spooled, standard_input
from scratchgpt.corpora.text_files import Source, document, example, file_source, whole_text
from scratchgpt.errors import InputError
from scratchgpt.tokenizers.base import END
from scratchgpt.utils import shipped
from scratchgpt.utils.validation import nearest
from scratchgpt.utils.words import counted

ENDINGS = (".txt", ".md", ".jsonl", ".txt.gz", ".md.gz", ".jsonl.gz")
JSONL = (".jsonl", ".jsonl.gz")


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
    """Return the text that `data` names; it is read when its pieces are asked for.

    `data` is one of these, the first that fits:

    - the name of a built-in text (`builtin.names`), even if a file has that name: write ./NAME for the file;
    - "-" for standard input;
    - a file;
    - a folder: all files within whose names end as in `ENDINGS`, in the order of their names, but for hidden
      ones and folders behind symbolic links;
    - a pattern of files with *, ? and [], and ** for any folders: all of them, in the order of their names.

    A single text file is one document without special tokens. Several files, or JSON lines, are documents,
    each with `<|endoftext|>` at its end.

    Args:
        data: see above.
        format: "auto" goes by the endings of the files; "text"; "jsonl", the documents are in one field of
            every row; "lines", every line that is not blank is an example, `<|endoftext|>` at both ends;
            "daily-dialog" and "prosocial-dialog", JSON lines of those data sets' schemas.
        text_field: the field of JSON lines that holds the text.
        errors: what becomes of bytes that are not UTF-8: "strict", "replace" or "ignore".
        bot_only: of dialogues, whether only the bot's turns count in the loss.
        allow_special: whether the name of a special token in the text is that token.
        root: where files are looked for that are not here; None is the folder of what comes with the package.

    Raises:
        InputError: nothing has that name, or an argument that does not fit. Reading the pieces raises it,
            too, for what cannot be read, is empty, or is not of that format.
    """
    root = root or shipped.folder()
    for name, value, known in (("format", format, get_args(Format)), ("errors", errors, get_args(Errors))):
        if value not in known:
            raise InputError(f"{name} is {value!r}{nearest(value, known)}")
    if bot_only and data not in DIALOGUES and format not in SCHEMAS:
        raise InputError(
            f"bot_only is true, and {data} has no bot; expected it with the built-in text "
            f"{' or '.join(DIALOGUES)}, or with --corpus.format {' or '.join(SCHEMAS)} "
            "for a file of that kind"
        )
    if data in names():
        for name, value, usual in (("format", format, "auto"), ("text_field", text_field, "text")):
            if value != usual:
                raise InputError(
                    f"{name} is {value!r}; expected none for the built-in text {data} (./{data} is a file)"
                )
        if _exists(Path(data)):
            print(f"{data} is the built-in text; for what is here, write ./{data}", file=sys.stderr)
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
            (END,),
            bos=END,
            eos=(END,),
            padded=True,
        )
    is_jsonl = [
        format == "jsonl" or (format == "auto" and source.name.lower().endswith(JSONL)) for source in sources
    ]
    if is_jsonl == [False]:
        return Corpus(name, lambda: whole_text(sources[0].texts()))

    def pieces() -> Iterator[Piece]:
        for source, has_rows in zip(sources, is_jsonl, strict=True):
            yield from _row_documents(source, text_field) if has_rows else document(source.texts())

    return Corpus(name, pieces, (END,), eos=(END,))


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
    """Return a short name for what a path or pattern means, the files, and for several a summary in words."""
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
    """Return the text files in a folder, and how many other files there are; hidden ones are not counted."""

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error

    found: list[Path] = []
    n_others = 0
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                found.append(Path(place, name))
            elif not name.startswith("."):
                n_others += 1
    if not found:
        others = f", but {n_others:,} others" if n_others else ""
        raise InputError(f"{folder} holds no text files{others}; expected files in {' '.join(ENDINGS)}")
    return sorted(found, key=Path.as_posix), n_others


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        places = list(folder.glob(pattern))
    except ValueError as error:
        raise InputError(f"{pattern!r} is no pattern of files: {error}") from None
    hidden = {place for place in places if any(part[0] == "." for part in place.relative_to(folder).parts)}
    found = [place for place in places if place not in hidden and not place.is_dir()]
    if not found:
        raise InputError(f"no file in {folder} matches {pattern!r}; expected a pattern of text files")
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
    except OSError:  # a name that is too long to be one
        return False


def _name(path: Path) -> str:
    """Return the name of a folder, or of a file without its ending: short, and fit for a folder's name."""
    name = path.resolve().name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem
    return name.lstrip(".") or "data"
