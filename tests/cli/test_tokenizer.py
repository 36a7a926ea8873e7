"""`scratchgpt tokenizer`: its output, and its errors for bad input."""

import gzip
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchgpt import tokenizers
from scratchgpt.cli.commands.tokenizer import PROG, main
from scratchgpt.cli.errors import exit_on_error
from scratchgpt.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer
from scratchgpt.tokenizers.split_patterns import GPT2, GPT4
from scratchgpt.tokenizers.token_display import SPECIAL_STYLE, TOKEN_STYLES, colored_tokens, separated_tokens
from tests.support.project import Outcome

TEXT = "the fox and the crow, the fox and the cheese\n" * 20
Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command in an empty folder that holds text.txt."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT, encoding="utf-8")

    def run(*args: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        code = 0
        try:
            with exit_on_error(PROG):
                main(args)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def refused(outcome: Outcome, words: str) -> None:
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.startswith(PROG)
    assert words in outcome.err


def test_training_writes_a_file_that_encodes_and_decodes(run: Run) -> None:
    outcome = run("train", "text.txt", "--vocab-size", "270", "--special", "<sep>", "--special", "<pad>")
    assert outcome == (0, "tokenizer.json: 270 tokens, 2 of them special\n", "")
    tokenizer = tokenizers.load("tokenizer.json")
    assert isinstance(tokenizer, BPETokenizer)
    assert tokenizer.special_ids == {"<sep>": 268, "<pad>": 269}
    assert tokenizer.pattern == GPT2
    ids = run("encode", "tokenizer.json", "text.txt").out
    assert [int(word) for word in ids.split()] == tokenizer.encode(TEXT).tolist()
    assert run("decode", "tokenizer.json", "-", stdin=ids.encode()).out == TEXT
    assert run("decode", ".", *ids.split()).out == TEXT


def test_ids_can_be_printed_and_read_as_json(run: Run) -> None:
    tokenizers.save(ByteTokenizer(["<sep>"]), ".")
    outcome = run("encode", "tokenizer.json", "-", "--json", "--allow-special", stdin="é<sep>\n".encode())
    assert json.loads(outcome.out) == [195, 169, 256, 10]
    assert run("decode", "tokenizer.json", "-", stdin=outcome.out.encode()).out == "é<sep>\n"
    assert run("encode", "tokenizer.json", "-", stdin=b"<sep>").out == "60 115 101 112 62\n"
    assert run("encode", "tokenizer.json", "-", "--json").out == "[]\n"


def test_every_kind_can_be_trained(run: Run) -> None:
    assert run("train", "text.txt", "-", "--kind", "char", "--out", "new/c.json", stdin=b"xyz").code == 0
    char = tokenizers.load("new/c.json")
    assert isinstance(char, CharTokenizer)
    assert set("xyz") < set(char.symbols)
    assert run("train", "--kind", "byte", "--out", "b.json").out == "b.json: 256 tokens, 0 of them special\n"
    gpt4 = run("train", "text.txt", "--pattern", "gpt4", "--vocab-size", "9999", "--out", "g.json")
    assert gpt4.out.endswith("; the text yields fewer than 9,999\n")
    tokenizer = tokenizers.load("g.json")
    assert isinstance(tokenizer, BPETokenizer)
    assert tokenizer.pattern == GPT4
    assert f"g.json: {tokenizer.vocab_size} tokens" in gpt4.out


def test_sentencepiece_can_be_trained(run: Run) -> None:
    pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    outcome = run("train", "text.txt", "--kind", "sentencepiece", "--vocab-size", "300", "--special", "<sep>")
    assert outcome.out.startswith("tokenizer.model: ")
    assert "<sep>" in tokenizers.load("tokenizer.model").special_ids
    assert run("show", ".", "fox").out.startswith("f|o|x\n")


def test_training_takes_the_same_data_as_a_run(run: Run) -> None:
    Path("texts/more").mkdir(parents=True)
    Path("texts/a.md").write_text("abc", encoding="utf-8")
    with gzip.open("texts/more/b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write('{"body": "xyz"}\n{"body": "uv"}\n')
    assert run("train", "texts", "--text-field", "body", "--kind", "char").code == 0
    tokenizer = tokenizers.load(".")
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.symbols == list("abcuvxyz")
    assert run("train", "texts/*.md", "text.txt", "--kind", "char", "--out", "c.json").code == 0
    assert run("train", "texts", "--format", "lines", "--kind", "char", "--out", "d.json").code == 0
    assert '"' in tokenizers.load("d.json").symbols  # type: ignore[attr-defined]


def test_training_streams_the_text(run: Run) -> None:
    Path("large.txt").write_text("the fox and the crow\n" * 1_500_000, encoding="utf-8")
    tracemalloc.start()
    try:
        assert run("train", "large.txt", "--kind", "char").code == 0
        assert tracemalloc.get_traced_memory()[1] < 12e6 < Path("large.txt").stat().st_size
    finally:
        tracemalloc.stop()


def test_an_argument_that_is_not_a_file_is_the_text(run: Run) -> None:
    tokenizers.save(ByteTokenizer(), ".")
    assert run("encode", ".", "ab").out == "97 98\n"
    assert run("encode", ".", "and/or so").code == 0
    assert run("show", ".", "x").out.endswith("\n1 character, 1 byte, 1 token, 1.00 bytes per token\n")
    refused(run("show", ".", "and/or"), "and/or does not exist; if it is text and not a path")
    assert run("show", ".", "-", stdin=b"and/or").code == 0


def test_dropout_is_repeatable(run: Run) -> None:
    run("train", "text.txt", "--vocab-size", "300")
    plain = run("encode", ".", "text.txt").out
    first, again, other = (
        run("encode", ".", "text.txt", "--dropout", "0.5", "--seed", seed).out for seed in "112"
    )
    assert first == again
    assert len({plain, first, other}) == 3
    assert run("decode", ".", *first.split()).out == TEXT


def test_show_separates_tokens_and_counts(run: Run) -> None:
    tokenizers.save(ByteTokenizer(["<sep>"]), ".")
    outcome = run("show", ".", "aé\n\t\x1b<sep>", "--allow-special")
    assert outcome.out == (
        "a|\\xc3|\\xa9|↵\n|→\t|\\u001b|[<sep>]\n\n10 characters, 11 bytes, 7 tokens, 1.57 bytes per token\n"
    )
    assert run("show", ".", "text.txt").out.startswith("t|h|e| |f|o|x")
    assert run("show", ".", "-", stdin=b"ab").out.startswith("a|b\n")
    assert run("show", ".", "a" * 5000).out.endswith("5,000 tokens, 1.00 bytes per token\n")
    assert run("show", ".", "").out.endswith("0 characters, 0 bytes, 0 tokens\n")


def test_a_terminal_shows_colors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizers.save(ByteTokenizer(), ".")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[30;48;5;" in run("show", ".", "ab").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("show", ".", "ab").out.startswith("a|b\n")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert run("show", ".", "ab").out.startswith("a|b\n")


def test_colors_alternate_and_special_tokens_stand_out() -> None:
    tokenizer = CharTokenizer(["a", "b", "<sep>"])
    text = colored_tokens(tokenizer, [0, 1, 2, 0])
    assert text.plain == "ab<sep>a"
    assert [str(span.style) for span in text.spans] == [
        TOKEN_STYLES[0],
        TOKEN_STYLES[1],
        SPECIAL_STYLE,
        TOKEN_STYLES[1],
    ]
    assert separated_tokens(tokenizer, [0, 1, 2, 0]) == "a|b|[<sep>]|a"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "no command given; expected train, encode, decode or show"),
        (["trian"], "there is no command 'trian'; did you mean 'train'?"),
        (["train"], "a bpe tokenizer needs text to train on; pass files"),
        (["train", "nothing.txt"], "'nothing.txt' does not exist: no file, folder or built-in text has this"),
        (["train", "text.txt", "--kind", "word"], "kind is 'word'; expected one of char, byte, bpe"),
        (["train", "text.txt", "--vocab-size", "5"], "vocabulary size is 5; expected at least 256"),
        (["train", "text.txt", "--vocab-size", "many"], "--vocab-size is 'many'; expected a whole number"),
        (["train", "text.txt", "--vocab-siz", "5"], "did you mean '--vocab-size'?"),
        (["train", "text.txt", "--pattern", "("], "split pattern is '('"),
        (
            ["train", "text.txt", "--out", "text.txt"],
            "text.txt already exists; choose another file with --out",
        ),
        (["train", "text.txt", "--out", "text.txt/x.json"], "cannot write to folder text.txt"),
        (["encode", "none.json", "text.txt"], "none.json does not exist"),
        (["encode", "text.txt", "text.txt"], "text.txt begins with b'the fox and the crow"),
        (["encode", "byte.json", "nothing.txt"], "nothing.txt does not exist; if it is text"),
        (["show", "byte.json", "texts/nothing"], "texts/nothing does not exist"),
        (["encode", "byte.json", "NOTHING.JSONL"], "pass it through standard input (-)"),
        (
            ["train", "text.txt", "--pattern", "cl100k"],
            "which is not a known name; expected one of gpt2",
        ),
        (["train", "text.txt", "--special", "<a>", "--special", "<a>"], "'<a>' is listed 2 times"),
        (["train", "text.txt", "--special", ""], "name of a special token is ''; expected at least two"),
        (["train", "text.txt", "--special", "the", "--vocab-size", "270"], "'the' is also a token learned"),
        (["train", "text.txt", "--kind", "byt"], "did you mean 'byte'?"),
        (["train", "fables", "--text-field", "body"], "text_field is 'body', but the built-in text fables"),
        (
            ["encode", "byte.json", "text.txt", "--dropout", "0.1"],
            "byte.json is not a BPE tokenizer; only those have --dropout",
        ),
        (["decode", "byte.json", "1", "x"], "token id is 'x'; expected a whole number"),
        (["decode", "byte.json", "256"], "token id is 256; expected one in [0, 256)"),
        (["show", "byte.json", "a\udcff"], "lone surrogate"),
    ],
)
def test_bad_input_is_one_line(run: Run, args: list[str], words: str) -> None:
    Path("byte.json").write_bytes(ByteTokenizer().to_bytes())
    refused(run(*args), words)
    assert {path.name for path in Path().iterdir()} == {"text.txt", "byte.json"}


def test_standard_input_that_is_not_utf8_is_named(run: Run) -> None:
    Path("byte.json").write_bytes(ByteTokenizer().to_bytes())
    refused(run("encode", "byte.json", "-", stdin=b"ab\xff"), "standard input is not UTF-8 at offset 2")


def test_it_is_a_command_of_the_package(tmp_path: Path) -> None:
    tokenizers.save(ByteTokenizer(), tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "scratchgpt", "tokenizer", "show", str(tmp_path), "é"],
        capture_output=True,
        check=True,
        env=os.environ
        | {"PYTHONPATH": str(Path(tokenizers.__file__).parents[2]), "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout.decode().splitlines()[0] == "\\xc3|\\xa9"
