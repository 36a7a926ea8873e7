"""Opening what `--data` names, and the text that it yields."""

import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.corpora import builtin, standard_input
from scratchgpt.corpora.builtin import names
from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.corpora.sources import open_corpus
from scratchgpt.corpora.text_files import Source, in_pieces, whole_text
from scratchgpt.errors import InputError
from scratchgpt.utils.files import read_text
from tests.support.project import ROOT

END = "<|endoftext|>"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
ODD = st.sampled_from(
    ["\r", "\n", "\r\n", "\ufeff", "é", "中", "🙂", "\u2028", "\x85", "\x00", " ", "a", "1", "'s"]
)
TEXTS = st.lists(ODD | st.text(max_size=3)).map("".join)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCRATCHGPT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(name: str, content: str | bytes) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


def text_of(corpus: Corpus) -> str:
    return "".join(piece.text for piece in corpus.pieces())


def blocks_of(content: bytes, size: int) -> Source:
    return Source("given", lambda: (content[i : i + size] for i in range(0, len(content), size)))


def normalized(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


# Streaming


@given(
    text=TEXTS.filter(lambda text: normalized(text).strip()), block=st.integers(1, 9), size=st.integers(1, 9)
)
def test_the_pieces_together_are_the_text_with_newlines(text: str, block: int, size: int) -> None:
    pieces = list(in_pieces(blocks_of(text.encode(), block).texts(), size))
    assert "".join(pieces) == normalized(text)
    assert all(0 < len(piece) <= size for piece in pieces)


@given(text=TEXTS.filter(lambda text: normalized(text).strip()), block=st.integers(1, 9))
def test_lines_are_numbered_from_one(text: str, block: int) -> None:
    lines = normalized(text).split("\n")
    expected = list(enumerate(lines, 1))
    if not lines[-1]:
        expected.pop()
    assert list(blocks_of(text.encode(), block).lines()) == expected


SPACES = st.sampled_from([" ", "\n", "  ", " \n ", "\r\n", "\n\n"])
WORDS = st.sampled_from(["a", "bé1", "don't", "I'll", "12345", "?!x", ",2", "中", "'s", "“so"])


@given(parts=st.lists(st.tuples(SPACES, WORDS), max_size=12), size=st.integers(9, 20))
def test_a_cut_after_a_word_changes_no_chunk_of_gpt2_and_gpt4(
    parts: list[tuple[str, str]], size: int
) -> None:
    text = "".join(space + word for space, word in parts)
    pieces = list(in_pieces([text], size))
    assert all(one[-1].isalnum() and two[0].isspace() for one, two in pairwise(pieces))
    for pattern in (GPT2, GPT4):
        cut = [chunk for piece in pieces for chunk in regex.findall(pattern, piece)]
        assert cut == regex.findall(pattern, text)


@pytest.mark.parametrize(
    ("text", "size", "pieces"),
    [
        ("one two three", 8, ["one two", " three"]),
        ("one two three", 7, ["one two", " three"]),  # the whitespace after the border decides
        ("one two three", 6, ["one", " two", " three"]),
        ("?! ?! ?!", 5, ["?! ", "?! ?!"]),
        ("?! ?! ?!", 4, ["?! ", "?! ", "?!"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("abc", 3, ["abc"]),
    ],
)
def test_where_a_text_is_cut(text: str, size: int, pieces: list[str]) -> None:
    assert list(in_pieces([text], size)) == pieces
    assert list(in_pieces(text, size)) == pieces  # the strings in which it arrives make no difference


def test_only_the_last_piece_ends_a_single_document() -> None:
    text = "word " * 300_000
    pieces = list(whole_text([text]))
    assert "".join(piece.text for piece in pieces) == text
    assert len(pieces) > 1
    assert [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(data=st.binary(min_size=1), block=st.integers(1, 5))
def test_any_bytes_are_text_or_an_error_with_the_first_bad_byte(data: bytes, block: int) -> None:
    try:
        text = normalized(data.decode())
    except UnicodeDecodeError as error:
        words = rf"given is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start} \("
        with pytest.raises(InputError, match=words):
            list(blocks_of(data, block).texts())
    else:
        if text.strip():
            assert "".join(blocks_of(data, block).texts()) == text
        else:
            with pytest.raises(InputError, match=r"given is (empty|only whitespace); expected text"):
                list(blocks_of(data, block).texts())


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_bytes_that_are_not_utf8_can_be_replaced_or_ignored(ending: str) -> None:
    name = write(f"a{ending}", b"caf\xe9 ol\xe9")
    with pytest.raises(InputError, match=rf"a{ending} is not UTF-8: byte 0xe9 at offset 3 \("):
        text_of(open_corpus(name))
    assert text_of(open_corpus(name, errors="replace")) == "caf\ufffd ol\ufffd"
    assert text_of(open_corpus(name, errors="ignore")) == "caf ol"


@pytest.mark.parametrize("content", [b"ab\xff", b"\xff\xfea\x00", b"ab\xe2\x82", b""])
def test_the_message_is_the_same_as_for_a_small_file(content: bytes) -> None:
    name = write("a.txt", content)
    with pytest.raises(InputError) as whole:
        read_text(name)
    with pytest.raises(InputError) as streamed:
        text_of(open_corpus(name))
    assert str(streamed.value) == str(whole.value)


def test_only_the_first_byte_order_mark_is_dropped() -> None:
    content = "\ufeff\ufeffé".encode()
    for size in range(1, len(content) + 1):
        assert "".join(blocks_of(content, size).texts()) == "\ufeffé"


# Files, folders, patterns


def test_a_file_is_one_document_without_special_tokens() -> None:
    corpus = open_corpus(write("books/my.book.txt", "One.\r\nTwo."))
    assert (corpus.name, corpus.specials, corpus.eos, corpus.padded) == ("my.book", (), (), False)
    assert list(corpus.pieces()) == [Piece("One.\nTwo.", ends=True)]
    assert list(corpus.pieces()) == list(corpus.pieces())


def test_files_of_a_folder_are_documents_in_the_order_of_their_names() -> None:
    write("texts/b.md", "B")
    write("texts/a/z.txt.gz", "Z")
    write("texts/c.jsonl", '{"text": "C1"}\n{"text": "C2"}\n')
    for other in ("texts/.hidden.txt", "texts/.git/x.txt", "texts/picture.png"):
        write(other, "no")
    corpus = open_corpus("texts")
    assert text_of(corpus) == f"Z{END}B{END}C1{END}C2{END}"
    assert (corpus.name, corpus.specials, corpus.bos, corpus.eos) == ("texts", (END,), None, (END,))
    assert [piece.text for piece in corpus.pieces() if piece.ends] == [END] * 4


def test_a_folder_with_one_text_is_that_text() -> None:
    write("a.txt", "A")
    corpus = open_corpus(".")
    assert list(corpus.pieces()) == [Piece("A", ends=True)]
    assert corpus.name == "here"


def test_a_folder_without_text_says_what_is_there() -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no text files; expected \.txt"):
        open_corpus("empty")
    write("pictures/a.png", "")
    write("pictures/b.png", "")
    with pytest.raises(InputError, match="pictures holds no text files, but 2 others"):
        open_corpus("pictures")


def test_folders_that_contain_themselves_are_walked_once() -> None:
    write("texts/a.txt", "A")
    write("texts/in/b.txt", "B")
    Path("texts/in/again").symlink_to(Path("texts").resolve(), target_is_directory=True)
    assert text_of(open_corpus("texts")) == f"A{END}B{END}"
    assert text_of(open_corpus("texts/**/*.txt")) == f"A{END}B{END}"


def test_a_broken_link_is_not_skipped() -> None:
    write("texts/a.txt", "A")
    Path("texts/b.txt").symlink_to("nowhere.txt")
    with pytest.raises(InputError, match=r"b\.txt does not exist"):
        text_of(open_corpus("texts"))


def test_a_pattern_means_its_files_whatever_their_suffixes() -> None:
    write("logs/b.log", "B")
    write("logs/a.log", "A")
    write("logs/.c.log", "no")
    Path("logs/folder.log").mkdir()
    for pattern in ("logs/*.log", "logs/[ab].???", str(Path("logs").resolve() / "?.log"), "./**/*.log"):
        assert text_of(open_corpus(pattern)) == f"A{END}B{END}"
    assert open_corpus("logs/*.log").name == "logs"
    assert open_corpus("l*/*.log").name == "here"


def test_a_file_whose_name_looks_like_a_pattern_is_that_file() -> None:
    assert text_of(open_corpus(write("a[1].txt", "A"))) == "A"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("shakespear", "'shakespear' does not exist: .*; did you mean 'shakespeare'?"),
        ("nothing/here.txt", "'nothing/here.txt' does not exist: .*; expected one of fables, pydoc, "),
        ("", "'' does not exist"),
        ("all of it " * 99, "does not exist"),
        ("a\0b", "does not exist"),
        ("texts/*.txt", r"no file in texts matches '\*\.txt'"),
        ("**a", "no file in . matches|is not a valid file pattern"),
    ],
)
def test_missing_data_is_named(data: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_corpus(data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "json"}, "format is 'json'; did you mean 'jsonl'?"),
        ({"errors": "skip"}, "errors is 'skip'; expected one of strict, replace, ignore"),
        (
            {"bot_only": True},
            "use it with the built-in text daily-dialog or prosocial-dialog or talk, or",
        ),
        ({"bot_only": True}, "with --corpus.format daily-dialog or prosocial-dialog"),
    ],
)
def test_bad_options(options: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as error:
        open_corpus(write("a.txt", "A"), **options)  # type: ignore[arg-type]
    assert words in str(error.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_and_a_folder_without_permission() -> None:
    Path(write("texts/a.txt", "A")).chmod(0)
    with pytest.raises(InputError, match=r"cannot read texts/a\.txt: Permission denied"):
        text_of(open_corpus("texts"))
    Path("texts").chmod(0)
    with pytest.raises(InputError, match="cannot read texts: Permission denied"):
        open_corpus("texts")
    with pytest.raises(InputError, match=r"cannot read|does not exist"):
        open_corpus("texts/a.txt")


def test_a_text_of_only_whitespace_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.txt is only whitespace; expected text"):
        text_of(open_corpus(write("a.txt", " \r\n\t\n")))


def test_an_empty_document_among_others_is_named() -> None:
    write("texts/a.txt", "A")
    write("texts/b.txt", "")
    with pytest.raises(InputError, match=r"b\.txt is empty; expected text"):
        text_of(open_corpus("texts"))


@pytest.mark.parametrize(
    "broken", [lambda packed: packed[:-9], lambda packed: b"plain", lambda packed: packed + b"x"]
)
def test_a_damaged_gzip_file(broken: Callable[[bytes], bytes]) -> None:
    Path("a.txt.gz").write_bytes(broken(gzip.compress(b"text " * 999)))
    with pytest.raises(InputError, match=r"a\.txt\.gz is damaged .*; expected a complete gzip file"):
        text_of(open_corpus("a.txt.gz"))


def test_a_gzip_file_with_any_one_byte_changed_gives_an_error_or_the_text() -> None:
    packed = gzip.compress(b"a text of some length, which deflate makes shorter, shorter, shorter")
    for i in range(len(packed)):
        Path("a.txt.gz").write_bytes(packed[:i] + bytes([packed[i] ^ 0x55]) + packed[i + 1 :])
        try:
            assert text_of(open_corpus("a.txt.gz")).startswith("a text of some length")
        except InputError as error:
            assert "a.txt.gz is damaged" in str(error)


# JSON lines and lines


def test_json_lines_are_documents() -> None:
    lines = [json.dumps({"text": "A\r\nB\rC 中"}), "", json.dumps({"id": 1, "text": "D"}, ensure_ascii=False)]
    corpus = open_corpus(write("a.jsonl.gz", "\ufeff" + "\r\n".join(lines)))
    assert text_of(corpus) == f"A\nB\nC 中{END}D{END}"
    assert (corpus.name, corpus.specials, corpus.eos) == ("a", (END,), (END,))
    assert (
        text_of(open_corpus(write("a.data", '{"body": "A"}'), format="jsonl", text_field="body")) == f"A{END}"
    )


@given(st.lists(st.text().filter(str.strip), min_size=1), st.booleans())
def test_every_text_survives_json_lines(texts: list[str], ascii_only: bool) -> None:
    content = "".join(json.dumps({"text": text}, ensure_ascii=ascii_only) + "\n" for text in texts)
    corpus = open_corpus(write("a.jsonl", content))
    documents = [piece.text for piece in corpus.pieces() if not piece.special]
    assert documents == [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": "A"', "a.jsonl, line 3 is not valid JSON: "),
        ('["A"]', "a.jsonl, line 3 holds a list; expected a JSON object"),
        ("null", "a.jsonl, line 3 holds null; expected a JSON object"),
        ("[" * 200_000, "a.jsonl, line 3 is not usable JSON: "),
        ('{"text": ' + "9" * 9999 + "}", "a.jsonl, line 3 is not usable JSON: "),
        ('{"body": "A", "id": 1}', "a.jsonl, line 3 has no field 'text'; its fields are 'body', 'id'"),
        ("{}", "a.jsonl, line 3 has no field 'text'; its fields are none"),
        ('{"text": 3}', "a.jsonl, line 3: 'text' holds a number; expected text"),
        ('{"text": null}', "a.jsonl, line 3: 'text' holds null; expected text"),
        ('{"text": ""}', "a.jsonl, line 3: 'text' is empty; expected text"),
        ('{"text": " \\n"}', "a.jsonl, line 3: 'text' is empty; expected text"),
        ('{"text": "a \\ud83d b"}', "a.jsonl, line 3: 'text' holds a lone surrogate; expected text"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(line: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        text_of(open_corpus(write("a.jsonl", f'{{"text": "A"}}\n\n{line}\n')))
    assert words in str(error.value)


def test_lone_surrogates_can_be_replaced_or_ignored() -> None:
    name = write("a.jsonl", r'{"text": "a \ud83d b \ud83d\ude42"}')
    assert text_of(open_corpus(name, errors="replace")) == f"a \ufffd b 🙂{END}"
    assert text_of(open_corpus(name, errors="ignore")) == f"a  b 🙂{END}"


def test_json_lines_without_rows_are_empty() -> None:
    with pytest.raises(InputError, match="only whitespace"):
        text_of(open_corpus(write("a.jsonl", "\n\n")))


def test_every_line_is_an_example_with_the_token_at_both_ends() -> None:
    corpus = open_corpus(write("names.txt", "emma\r\n\n  \nolivia smith\n"), format="lines")
    assert text_of(corpus) == f"{END}emma{END}{END}olivia smith{END}"
    assert [piece.ends for piece in corpus.pieces()] == [False, False, True] * 2
    assert (corpus.specials, corpus.bos, corpus.eos, corpus.padded) == ((END,), END, (END,), True)


# Standard input


def give(monkeypatch: pytest.MonkeyPatch, content: bytes, is_terminal: bool = False) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(stdin, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr("sys.stdin", stdin)


def test_standard_input_is_read_once_and_can_be_iterated_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "word " * 500_000
    give(monkeypatch, text.encode())
    corpus = open_corpus("-")
    assert corpus.name == "stdin"
    assert text_of(corpus) == text_of(corpus) == text
    side_by_side = zip(corpus.pieces(), corpus.pieces(), strict=True)
    assert all(one == two for one, two in side_by_side)
    assert list((tmp_path / "cache").iterdir()) == []  # the copy has no name
    assert capsys.readouterr().err == ""


def test_standard_input_takes_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b'{"text": "A"}\n{"text": "B"}\n')
    assert text_of(open_corpus("-", format="jsonl")) == f"A{END}B{END}"


def test_a_terminal_shows_that_text_is_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"typed\n", is_terminal=True)
    assert text_of(open_corpus("-")) == "typed\n"
    assert "reading text from the terminal; end it with Ctrl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "standard input is empty"), (b"a\xff", "standard input is not UTF-8: byte 0xff at offset 1")],
)
def test_bad_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes, words: str) -> None:
    give(monkeypatch, content)
    with pytest.raises(InputError, match=words):
        text_of(open_corpus("-"))


def test_no_standard_input_and_no_space_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="there is no standard input"):
        open_corpus("-")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    give(monkeypatch, b"text")
    monkeypatch.setattr(standard_input.shutil, "copyfileobj", full)
    with pytest.raises(InputError, match=r"cannot copy standard input to .*: No space left on device"):
        open_corpus("-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_copied_like_standard_input() -> None:
    from threading import Thread

    os.mkfifo("pipe")
    writer = Thread(target=Path("pipe").write_text, args=["through a pipe"])
    writer.start()
    corpus = open_corpus("pipe")
    writer.join()
    assert text_of(corpus) == text_of(corpus) == "through a pipe"


# Built-in texts


def test_every_builtin_text_has_a_one_line_description() -> None:
    assert list(names()) == [
        "fables",
        "pydoc",
        "grammar",
        "talk",
        "shakespeare",
        "wikitext-2",
        "daily-dialog",
        "prosocial-dialog",
    ]
    assert all(len(line) < 90 and "\n" not in line for line in names().values())


def test_the_fables_are_found_from_anywhere() -> None:
    path = ROOT / "data" / "fables.txt"
    corpus = open_corpus("fables")
    assert text_of(corpus) == read_text(path)
    assert (corpus.name, corpus.specials) == ("fables", ())
    assert text_of(open_corpus("data/fables.txt")) == text_of(corpus)


def test_missing_fables_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fables\.txt does not exist; the fables ship with the package"):
        open_corpus("fables", root=tmp_path)


def test_pydoc_has_a_document_for_each_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydoc_data.topics import topics

    pieces = list(open_corpus("pydoc").pieces())
    assert [piece.text for piece in pieces if not piece.special] == [topics[name] for name in sorted(topics)]
    assert sum(piece.ends for piece in pieces) == len(topics)
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(InputError, match=r"lacks pydoc_data\.topics"):
        open_corpus("pydoc")


def test_the_grammars_stories_are_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "GRAMMAR_DOCUMENTS", 3)
    corpus = open_corpus("grammar")
    assert [piece.text for piece in corpus.pieces() if piece.ends] == [END] * 3
    assert corpus.nats_per_document is not None


def test_a_name_means_the_builtin_text_and_the_message_says_how_to_choose_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("fables", "mine")
    assert text_of(open_corpus("fables")) != "mine"
    assert "using the built-in text fables; for the file here, write ./fables" in capsys.readouterr().err
    assert text_of(open_corpus("./fables")) == "mine"


def test_a_builtin_text_takes_no_format() -> None:
    for name, value in (("format", "lines"), ("text_field", "body")):
        with pytest.raises(
            InputError, match=f"{name} is '{value}', but the built-in text fables takes no {name}"
        ):
            open_corpus("fables", **{name: value})  # type: ignore[arg-type]


def test_the_current_folder_is_searched_before_the_repository(tmp_path: Path) -> None:
    write("data/mine.txt", "here")
    (tmp_path / "there" / "data").mkdir(parents=True)
    (tmp_path / "there" / "data" / "mine.txt").write_text("there")
    (tmp_path / "there" / "data" / "theirs.txt").write_text("there")
    assert text_of(open_corpus("data/mine.txt", root=tmp_path / "there")) == "here"
    assert text_of(open_corpus("data/theirs.txt", root=tmp_path / "there")) == "there"
