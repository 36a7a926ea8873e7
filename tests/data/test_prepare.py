"""Preparing a corpus: it is tokenized once, completely or not at all, in one process or several."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import prepare as benchmark
from scratchgpt.corpora import Corpus, Piece
from scratchgpt.data import TokenFile, prepare
from scratchgpt.data.token_writer import token_writer
from scratchgpt.data.tokenize import JOB_CHARACTERS, jobs, tokenize_all
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer
from scratchgpt.utils import atomic_folder as folders
from tests.support.project import ROOT

END = "<|endoftext|>"
CHARS = CharTokenizer.train("abcdefghij\n é🙂", specials=[END, "<sep>"])


class Counting(CharTokenizer):
    """Counts the calls of encode."""

    calls = 0

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        Counting.calls += 1
        return super().encode(text, allow_special=allow_special)


def corpus(*pieces: Piece, padded: bool = False, name: str = "test") -> Corpus:
    return Corpus(name, lambda: iter(pieces), padded=padded)


def long_text() -> Corpus:
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abcdefghij\n é🙂"), 5 * JOB_CHARACTERS // 2))
    cuts = np.sort(rng.integers(0, len(text), 40)).tolist()
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return corpus(*(Piece(part, in_loss=i % 3 > 0, ends=i % 4 == 0) for i, part in enumerate(parts)))


def in_cache(cache: Path) -> list[Path]:
    return sorted((cache / "tokens").iterdir())


def arrays(prepared: TokenFile) -> list[list[int]]:
    loss_mask = [] if prepared.loss_mask is None else prepared.loss_mask.tolist()
    return [prepared.tokens.tolist(), prepared.ends.tolist(), loss_mask]


def test_pieces_become_tokens_ends_of_documents_and_a_loss_mask(tmp_path: Path) -> None:
    text = corpus(
        Piece("ab"),
        Piece(END, special=True, ends=True),
        Piece("", ends=True),  # a document without tokens is dropped
        Piece("cab", in_loss=False),
        Piece("<sep>", special=True, in_loss=False),
        Piece("d"),
        Piece("", ends=True),
        Piece("<sep>"),  # ordinary text that looks like a special token
        padded=True,
    )
    tokenizer = ByteTokenizer([END, "<sep>"])
    prepared = prepare(text, tokenizer, cache=tmp_path)
    end, sep = tokenizer.special_ids[END], tokenizer.special_ids["<sep>"]
    assert prepared.tokens.tolist() == [*b"ab", end, *b"cab", sep, *b"d", *b"<sep>"]
    assert prepared.ends.tolist() == [3, 8, 13]
    assert prepared.loss_mask is not None
    assert prepared.loss_mask.tolist() == [1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert prepared.padded
    assert (prepared.name, prepared.vocab_size) == ("test", tokenizer.vocab_size)
    assert prepared.n_characters == 11
    assert not prepared.tokens.flags.writeable


def test_where_everything_counts_there_is_no_loss_mask_file(tmp_path: Path) -> None:
    prepared = prepare(corpus(Piece("abc")), CHARS, cache=tmp_path)
    assert prepared.loss_mask is None
    assert {path.name for path in prepared.folder.iterdir()} == {"tokens.bin", "documents.bin", "info.json"}


@pytest.mark.parametrize(("vocab_size", "bits"), [(65536, 16), (65537, 32)])
def test_ids_take_no_more_bits_than_the_vocabulary_needs(tmp_path: Path, vocab_size: int, bits: int) -> None:
    folder = tmp_path / "text"
    ids = np.array([0, vocab_size - 1], dtype=np.int32)
    with token_writer(
        folder, name="test", padded=False, vocab_size=vocab_size, n_characters=2, all_in_loss=True
    ) as writer:
        writer.append(ids, np.array([1]), np.ones(2, dtype=bool), 2)
    assert (folder / "tokens.bin").stat().st_size == 2 * bits // 8
    assert TokenFile.open(folder).tokens.tolist() == [0, vocab_size - 1]


@pytest.mark.parametrize("token", [-1, 300, 70_000])
def test_a_token_that_the_vocabulary_lacks_is_refused(tmp_path: Path, token: int) -> None:
    with (
        pytest.raises(InputError, match=rf"token id is {token}; expected one in \[0, 300\)"),
        token_writer(
            tmp_path / "text", name="test", padded=False, vocab_size=300, n_characters=2, all_in_loss=True
        ) as writer,
    ):
        writer.append(np.array([5, token]), np.array([2]), np.ones(2, dtype=bool), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_text_is_tokenized_once(tmp_path: Path) -> None:
    tokenizer, text = Counting(CHARS.symbols), corpus(Piece("abc"), Piece("de"))
    Counting.calls = 0
    first = prepare(text, tokenizer, cache=tmp_path)
    assert Counting.calls == 2
    second = prepare(text, tokenizer, cache=tmp_path)
    assert Counting.calls == 2
    assert first.folder == second.folder
    assert arrays(first) == arrays(second)


def test_whatever_changes_the_tokens_changes_the_cache_key(tmp_path: Path) -> None:
    different = [
        (corpus(Piece("abc")), CHARS),
        (corpus(Piece("abd")), CHARS),
        (corpus(Piece("a"), Piece("bc")), CHARS),
        (corpus(Piece("ab"), Piece("c")), CHARS),
        (corpus(Piece("abc", in_loss=False), Piece("a")), CHARS),
        (corpus(Piece("abc"), Piece("a")), CHARS),
        (corpus(Piece("abc", ends=True), Piece("a")), CHARS),
        (corpus(Piece("abc"), padded=True), CHARS),
        (corpus(Piece("abc")), CharTokenizer.train("abcd")),
        (corpus(Piece("abc")), ByteTokenizer([])),
    ]
    names = {prepare(text, tokenizer, cache=tmp_path).folder.name for text, tokenizer in different}
    assert len(names) == len(different)
    again = prepare(corpus(Piece("abc"), name="other"), CHARS, cache=tmp_path)
    assert again.folder.name in names


def truncate(path: Path) -> str:
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    return f"{path.name} has {len(content) - 1} bytes; expected {len(content)}"


def append(path: Path) -> str:
    content = path.read_bytes()
    path.write_bytes(content + b"12")
    return f"{path.name} has {len(content) + 2} bytes; expected {len(content)}"


def flip_bit(path: Path) -> str:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    return f"{path.name} is damaged: its {len(content)} bytes have SHA-256"


def delete(path: Path) -> str:
    size = path.stat().st_size
    path.unlink()
    return f"cannot read .*{path.name}.*expected a file of {size} bytes"


@pytest.mark.parametrize("damage", [truncate, append, flip_bit, delete])
@pytest.mark.parametrize("name", ["tokens.bin", "documents.bin", "learned.bin"])
def test_damaged_files_are_named_and_rebuilt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: Callable[[Path], str]
) -> None:
    text = corpus(Piece("abc", ends=True), Piece("de", in_loss=False))
    prepared = prepare(text, CHARS, cache=tmp_path)
    expected, folder = arrays(prepared), prepared.folder
    del prepared
    words = damage(folder / name)
    with pytest.raises(InputError, match=words):
        TokenFile.open(folder)
    again = prepare(text, CHARS, cache=tmp_path)
    assert "The text is tokenized again" in caplog.text
    assert arrays(again) == expected
    assert in_cache(tmp_path) == [folder]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist; expected the description of a prepared text"),
        ("{", "not valid JSON"),
        ("{}", "does not describe"),
        ('{"format": 99}', "format is 99; expected 1"),
    ],
)
def test_a_damaged_description_is_a_readable_error(tmp_path: Path, content: str | None, words: str) -> None:
    folder = prepare(corpus(Piece("abc")), CHARS, cache=tmp_path).folder
    (folder / "info.json").unlink()
    if content is not None:
        (folder / "info.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        TokenFile.open(folder)


@pytest.mark.parametrize("change", [{"files": {}}, {"files": 5}, {"vocab_size": 70_000}, {"vocab_size": "x"}])
def test_an_inconsistent_description_is_a_readable_error(tmp_path: Path, change: dict[str, object]) -> None:
    folder = prepare(corpus(Piece("abc")), CHARS, cache=tmp_path).folder
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    (folder / "info.json").write_text(json.dumps(info | change), encoding="utf-8")
    with pytest.raises(InputError, match=r"info\.json"):
        TokenFile.open(folder)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], "test has no tokens; expected text"),
        ([Piece("")], "test has no tokens"),
        ([Piece("ab"), Piece("c\ud800")], r"test has the lone surrogate U\+D800 after 3 characters"),
        (
            [Piece("<s>", special=True)],
            r"test needs the special token <s>; the tokenizer has <\|endoftext\|>, <sep>",
        ),
        ([Piece("abc"), Piece("xyz")], "character 'x'"),
    ],
)
def test_text_that_cannot_be_prepared_leaves_nothing(tmp_path: Path, pieces: list[Piece], words: str) -> None:
    with pytest.raises(InputError, match=words):
        prepare(corpus(*pieces), CHARS, cache=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_the_place_of_an_unknown_character_is_that_in_the_whole_text(tmp_path: Path, workers: int) -> None:
    text = corpus(Piece("abc\n" * 10), Piece("ab"), Piece("cab\ncax"), Piece("x"), name="letters")
    with pytest.raises(InputError, match=r"'x' \(U\+0078\) at line 12, column 3 of letters is not in"):
        prepare(text, CHARS, cache=tmp_path, workers=workers)


def test_the_place_of_an_unknown_character_is_that_in_its_document(tmp_path: Path) -> None:
    pieces = (
        Piece("abc\nabc"),
        Piece(END, special=True, ends=True),
        Piece(END, special=True),
        Piece("ab\na"),
        Piece("<sep>b"),
        Piece("x"),
        Piece(END, special=True, ends=True),
    )
    text = Corpus("letters", lambda: iter(pieces), (END,), eos=(END,), allow_special=True)
    words = (
        r"'x' \(U\+0078\) at line 2, column 8 of document 2 of letters is not in the tokenizer's vocabulary"
    )
    with pytest.raises(InputError, match=words):
        prepare(text, CHARS, cache=tmp_path)


def test_a_text_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    versions = iter(["abc", "abd"])
    changing = Corpus("log.txt", lambda: iter([Piece(next(versions))]))
    with pytest.raises(InputError, match=r"log\.txt changed while it was being read"):
        prepare(changing, CHARS, cache=tmp_path)
    assert in_cache(tmp_path) == []


def test_a_full_disk_is_a_readable_error_and_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    text = corpus(*(Piece("abcdefghij" * (JOB_CHARACTERS // 10)) for _ in range(4)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * JOB_CHARACTERS, before[1]))
    try:
        words = r"cannot write to .*tokens: File too large, after ([\d,]+) of about ([\d,]+) bytes of tokens"
        with pytest.raises(InputError, match=words) as error:
            prepare(text, CHARS, cache=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    found = re.search(words, str(error.value))
    assert found is not None
    written, expected = (int(number.replace(",", "")) for number in found.groups())
    assert 2 * JOB_CHARACTERS < written <= 3 * JOB_CHARACTERS
    assert expected == 4 * (JOB_CHARACTERS // 10 * 10) * 2
    assert in_cache(tmp_path) == []


def test_a_cache_that_is_not_a_folder_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write to folder"):
        prepare(corpus(Piece("abc")), CHARS, cache=tmp_path / "cache")


def test_several_processes_give_the_same_files_as_one(tmp_path: Path) -> None:
    text = long_text()
    alone = prepare(text, CHARS, cache=tmp_path / "one", workers=1)
    together = prepare(text, CHARS, cache=tmp_path / "two", workers=2)
    for ours, theirs in zip(alone.folder.iterdir(), together.folder.iterdir(), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    whole = "".join(piece.text for piece in text.pieces())
    np.testing.assert_array_equal(together.tokens, CHARS.encode(whole))
    assert (np.diff(together.ends) > 0).all()


def test_an_error_in_a_worker_propagates(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="character 'x'"):
        prepare(corpus(Piece("abc"), Piece("xyz")), CHARS, cache=tmp_path, workers=2)
    assert in_cache(tmp_path) == []


def test_a_worker_that_dies_is_a_readable_error() -> None:
    class Strange(CharTokenizer):
        def to_bytes(self) -> bytes:
            return b"no tokenizer"

    with pytest.raises(InputError, match="a worker process that tokenizes the text died"):
        list(tokenize_all([Piece("abc")], Strange(["a"]), 2))


def test_only_a_few_jobs_are_in_flight_at_a_time() -> None:
    read = 0

    def pieces() -> Iterator[Piece]:
        nonlocal read
        for _ in range(30):
            read += 1
            yield Piece("a" * JOB_CHARACTERS)

    results = tokenize_all(pieces(), CHARS, 2)
    next(results)
    assert read <= 5
    results.close()


@given(sizes=st.lists(st.integers(0, 2 * JOB_CHARACTERS), max_size=6))
def test_jobs_hold_all_pieces_in_order(sizes: list[int]) -> None:
    pieces = [Piece("a" * size, ends=i % 2 == 0) for i, size in enumerate(sizes)]
    found = list(jobs(pieces))
    assert [piece for job in found for piece in job] == pieces
    for job in found[:-1]:
        assert (
            sum(len(piece.text) for piece in job[:-1])
            < JOB_CHARACTERS
            <= sum(len(piece.text) for piece in job)
        )


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    text = long_text()
    n = sum(len(piece.text) for piece in text.pieces())
    prepare(text, CHARS, cache=tmp_path, workers=1, progress=lambda *call: calls.append(call))
    counted, cut = ([done for done, total in calls if total == each] for each in (None, n))
    assert len(counted) + len(cut) == len(calls)
    assert counted == sorted(counted)
    assert cut == sorted(cut)
    assert cut[-1] == n


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupt_propagates_and_leaves_nothing(tmp_path: Path, workers: int) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if total is not None and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(long_text(), CHARS, cache=tmp_path, workers=workers, progress=interrupt)
    assert in_cache(tmp_path) == []


PROGRAM = f"""
import itertools, signal, sys, time
from pathlib import Path
from benchmarks import prepare as benchmark
from scratchgpt.corpora import Corpus, Piece
from scratchgpt.data import prepare
from scratchgpt.tokenizers import CharTokenizer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may start with SIGINT ignored
readings = itertools.count()

def pieces():
    waits = next(readings) == 1
    for i in range(8):
        if waits and i == 6:
            print("ready", flush=True)
            time.sleep(60)
        yield Piece("abc" * {JOB_CHARACTERS})

# Not guarded by `if __name__ == "__main__"`: the workers do not run this again.
prepare(Corpus("slow", pieces), CharTokenizer.train("abc"), cache=Path(sys.argv[1]), workers=2)
"""


def start_program(tmp_path: Path) -> "subprocess.Popen[str]":
    """Start a program that prepares a text with two workers, and return once it is in the middle of that."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "cache")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups to send Ctrl-C to")
def test_ctrl_c_ends_all_processes_without_output_from_the_workers(tmp_path: Path) -> None:
    with start_program(tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # also waits for the workers, which hold the pipe
    assert errors.count("Traceback") == 1
    assert errors.endswith("KeyboardInterrupt\n")
    assert in_cache(tmp_path / "cache") == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_leftovers_of_a_killed_process_are_removed_by_the_next_and_its_workers_exit(
    tmp_path: Path,
) -> None:
    cache = tmp_path / "cache"
    with start_program(tmp_path) as process:
        (left,) = in_cache(cache)
        prepare(corpus(Piece("abc")), CHARS, cache=cache)
        assert left in in_cache(cache)  # its process is running
        process.kill()
        process.communicate(timeout=60)  # also waits for the workers, which hold the pipe
    assert left in in_cache(cache)
    prepare(corpus(Piece("abcd")), CHARS, cache=cache)
    assert left not in in_cache(cache)
    assert len(in_cache(cache)) == 2
    assert all(TokenFile.open(folder) for folder in in_cache(cache))


def test_folders_of_other_machines_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("elsewhere-4194305-abcd.tmp", "here-4194305-abcd.tmp", f"here-{os.getpid()}-abcd.tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(folders.platform, "node", lambda: "here")
    with folders.atomic_folder(tmp_path / "new"):
        pass
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"elsewhere-4194305-abcd.tmp", f"here-{os.getpid()}-abcd.tmp", "new"}


def test_if_two_processes_create_the_same_folder_the_first_wins(tmp_path: Path) -> None:
    with folders.atomic_folder(tmp_path / "new") as second:
        (second / "who").write_text("second", encoding="utf-8")
        with folders.atomic_folder(tmp_path / "new") as first:
            (first / "who").write_text("first", encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new" / "who").read_text(encoding="utf-8") == "first"


@pytest.mark.slow
def test_the_benchmark_generates_the_same_text_each_time_and_measures_memory() -> None:
    text = "".join(benchmark.text_blocks(100_000))
    assert len(text) == 100_000
    assert text.isascii()
    assert text == "".join(benchmark.text_blocks(100_000))
    if sys.platform == "linux":
        assert benchmark.memory(os.getpid()) > 10e6
