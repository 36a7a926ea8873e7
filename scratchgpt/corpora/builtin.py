"""Built-in texts, selected by name: some ship with the project or with Python, others are downloaded."""

import importlib
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from scratchgpt.corpora import grammar, talk
from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.corpora.dialogue import SCHEMAS, dialogue_corpus
from scratchgpt.corpora.download import RemoteFile, fetch
from scratchgpt.corpora.jsonl import Row
from scratchgpt.corpora.text_files import READ_BYTES, Source, document, file_source, whole_text
from scratchgpt.errors import InputError
from scratchgpt.tokenizers.special_tokens import END_OF_TEXT

SHAKESPEARE = RemoteFile(
    "tinyshakespeare.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
)
WIKITEXT_2 = RemoteFile(
    "wikitext-2-raw-v1.zip",
    "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11",
    (
        "https://huggingface.co/datasets/ggml-org/ci/resolve/main/wikitext-2-raw-v1.zip",
        "https://wikitext.smerity.com/wikitext-2-raw-v1.zip",
    ),
)
# The dialogues' repositories on the Hugging Face Hub, and the revisions that have files instead of a script.
HUB_DATASETS = {
    "daily-dialog": ("roskoN/dailydialog", "refs/convert/parquet"),
    "prosocial-dialog": ("allenai/prosocial-dialog", "main"),
}
DIALOGUE_TEXTS = (*SCHEMAS, "talk")  # the built-in texts with a user and a bot
GRAMMAR_DOCUMENTS = 8_000
TALK_DIALOGUES = 12_000


def names() -> dict[str, str]:
    """Return the names of the built-in texts, each with a one-line description."""
    return {
        "fables": "the project's own fables, one text of 190 kB",
        "pydoc": "Python's language reference, which ships with Python, one document per topic",
        "grammar": f"{GRAMMAR_DOCUMENTS:,} stories from a grammar of known entropy",
        "talk": f"{TALK_DIALOGUES:,} dialogues about a small world; answers follow from earlier turns",
        "shakespeare": "Tiny Shakespeare, one text of 1.1 MB (downloaded)",
        "wikitext-2": "WikiText-2 raw, training split, one document per article (downloaded)",
        "daily-dialog": "DailyDialog, everyday conversations (needs scratchgpt[datasets])",
        "prosocial-dialog": "ProsocialDialog, replies to problematic statements (needs scratchgpt[datasets])",
    }


def builtin_corpus(name: str, root: Path, bot_only: bool = False) -> Corpus:
    """Return the built-in text of this name, downloading it if necessary.

    Args:
        name: one of `names`.
        root: the folder of the files that ship with the package, for the fables.
        bot_only: for dialogues, whether only the bot's turns count in the loss.

    Raises:
        InputError: the text is not available.
    """
    match name:
        case "fables":
            return _fables(root)
        case "pydoc":
            return _pydoc()
        case "grammar" | "talk":
            return _generated(name, bot_only)
        case "shakespeare":
            source = file_source(fetch(SHAKESPEARE))
            return Corpus(name, lambda: whole_text(source.texts()))
        case "wikitext-2":
            return _wikitext(fetch(WIKITEXT_2))
        case _:
            rows = hub_rows(name)
            return dialogue_corpus(name, lambda: SCHEMAS[name](numbered(rows, name)), bot_only)


def _fables(root: Path) -> Corpus:
    path = root / "data" / "fables.txt"
    if not path.is_file():
        raise InputError(
            f"{path} does not exist; the fables ship with the package. Reinstall it, or use the built-in "
            "text 'pydoc'"
        )
    source = file_source(path)
    return Corpus("fables", lambda: whole_text(source.texts()))


def _pydoc() -> Corpus:
    try:
        topics: Mapping[str, str] = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        raise InputError(
            "this Python lacks pydoc_data.topics, which holds the text 'pydoc'; install it (some systems "
            "ship it as a separate package) or use another text"
        ) from None

    def pieces() -> Iterator[Piece]:
        for topic in sorted(topics):
            yield from document([topics[topic]])

    return Corpus("pydoc", pieces, (END_OF_TEXT,), eos=(END_OF_TEXT,))


def _generated(name: str, bot_only: bool) -> Corpus:
    if name == "talk":
        return talk.corpus(TALK_DIALOGUES, seed=0, bot_only=bot_only)
    return grammar.corpus(GRAMMAR_DOCUMENTS, seed=0)


def _wikitext(path: Path) -> Corpus:
    def blocks() -> Iterator[bytes]:
        with zipfile.ZipFile(path) as archive, archive.open("wikitext-2-raw/wiki.train.raw") as file:
            while block := file.read(READ_BYTES):
                yield block

    source = Source(str(path), blocks)

    def pieces() -> Iterator[Piece]:
        for article in articles(line for _, line in source.lines()):
            yield from document([article])

    return Corpus("wikitext-2", pieces, (END_OF_TEXT,), eos=(END_OF_TEXT,))


def articles(lines: Iterable[str]) -> Iterator[str]:
    """Yield the articles of a WikiText file (Merity et al. 2016, arXiv:1609.07843).

    An article begins with its title, a line " = Title = " after a blank one; section titles have more equals
    signs: " = = Section = = ".
    """
    article: list[str] = []
    for line in lines:
        after_blank = not article or not article[-1].strip()
        if after_blank and re.fullmatch(r" = [^=\s].* = ?", line) and "".join(article).strip():
            yield "\n".join([*article, ""])
            article = []
        article.append(line)
    yield "\n".join([*article, ""])


def hub_rows(name: str) -> Iterable[Mapping[str, object]]:
    """Return the training rows of a dialogue data set; the package `datasets` downloads and caches them.

    Raises:
        InputError: the package is missing, or the download fails.
    """
    try:
        load_dataset = importlib.import_module("datasets").load_dataset
    except ImportError:
        raise InputError(
            f"{name} needs the package datasets, which is not installed; "
            "run pip install 'scratchgpt[datasets]'"
        ) from None
    address, revision = HUB_DATASETS[name]
    print(f"loading {address} from the Hugging Face Hub", file=sys.stderr)
    try:
        return load_dataset(address, revision=revision, split="train")
    except Exception as error:  # the package passes on whatever the libraries below it raise
        raise InputError(
            f"cannot load {address} from the Hugging Face Hub: {' '.join(str(error).split())}; check the "
            f"connection, or pass its rows as a JSON lines file with --corpus.format {name}"
        ) from error


def numbered(rows: Iterable[Mapping[str, object]], name: str) -> Iterator[Row]:
    """Yield rows that do not come from a file, numbered for error messages."""
    for i, values in enumerate(rows):
        yield Row(f"{name}, row {i}", values)
