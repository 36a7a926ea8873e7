"""Loading or training a run's tokenizer, and tokenizing its text."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from scratchgpt import tokenizers
from scratchgpt.corpora import Corpus, Piece, open_corpus
from scratchgpt.corpora.dialogue import PROMPT, dialogue_corpus
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.special_tokens import END_OF_TEXT as END
from scratchgpt.tokenizers.split_patterns import GPT2
from scratchgpt.training import text
from scratchgpt.training.settings import CorpusSettings, GenerationSettings, RunSettings, TokenizerSettings

DIALOGUES = dialogue_corpus("talk", lambda: iter([["Hello.", "User Bot", "Why?", "So."]]), bot_only=False)
Printed = tuple[Console, Callable[[], list[str]]]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Printed:
    """A console that is not a terminal, and a function that returns the lines printed to it."""
    monkeypatch.setenv("SCRATCHGPT_CACHE", str(tmp_path / "cache"))
    stream = io.StringIO()
    return Console(file=stream, soft_wrap=True, highlight=False), lambda: stream.getvalue().splitlines()


def asking(**tokenizer: object) -> RunSettings:
    return RunSettings("text", tokenizer=TokenizerSettings(**tokenizer))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "loaded",
    [
        CharTokenizer.train("Hello. UsrBotWhy?S:", specials=["<s>"]),
        ByteTokenizer(["<s>"]),
        train_bpe(count_chunks(["Hello. User: Bot:" * 9], GPT2), 270, GPT2, ["<s>"]),
    ],
    ids=lambda tokenizer: type(tokenizer).__name__,
)
def test_a_loaded_tokenizer_gets_the_special_tokens_that_it_lacks(
    printed: Printed, tmp_path: Path, loaded: Tokenizer
) -> None:
    console, lines = printed
    path = tokenizers.save(loaded, tmp_path / "loaded")
    asked = asking(path=str(path), special_tokens=["<more>", "<s>"], pad=True)
    tokenizer = text.load_or_train_tokenizer(asked, DIALOGUES, console)
    n = loaded.vocab_size
    added = {"<pad>": n, "<sep>": n + 1, "</s>": n + 2, "<more>": n + 3}
    assert dict(tokenizer.special_ids) == dict(loaded.special_ids) | added
    assert tokenizer.vocab_size == n + 4
    assert tokenizer.encode("Hello. Bot").tolist() == loaded.encode("Hello. Bot").tolist()
    assert lines() == ["special tokens added to the tokenizer: <pad> <sep> </s> <more>"]
    assert tokenizers.from_bytes(tokenizer.to_bytes(), "again").special_ids == tokenizer.special_ids
    assert text.tokenize(DIALOGUES, tokenizer, console).vocab_size == n + 4


def test_a_loaded_tokenizer_with_all_special_tokens_is_unchanged(printed: Printed, tmp_path: Path) -> None:
    console, lines = printed
    loaded = ByteTokenizer(["<s>", "</s>", "<sep>"])  # without <pad>, which never occurs in text
    path = tokenizers.save(loaded, tmp_path)
    assert (
        text.load_or_train_tokenizer(asking(path=str(path)), DIALOGUES, console).to_bytes()
        == loaded.to_bytes()
    )
    assert lines() == []


def test_a_sentencepiece_model_accepts_no_new_tokens_and_the_message_says_what_to_do(
    printed: Printed, tmp_path: Path
) -> None:
    pytest.importorskip("sentencepiece")
    path = tokenizers.save(tokenizers.SentencePieceTokenizer.train(["some text"], 280, []), tmp_path)
    with pytest.raises(
        InputError, match=r"lacks the special tokens <sep>, .*--tokenizer\.kind sentencepiece"
    ):
        text.load_or_train_tokenizer(asking(path=str(path)), DIALOGUES, printed[0])


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_invalid_names_of_special_tokens_are_found_before_the_text_is_read(
    kind: str, printed: Printed
) -> None:
    def pieces() -> Iterator[Piece]:
        yield Piece("text")
        raise AssertionError("the text was read")

    corpus = Corpus("test", pieces, specials=("", END))
    with pytest.raises(InputError, match="name of a special token is ''"):
        text.load_or_train_tokenizer(asking(kind=kind), corpus, printed[0])


def test_a_vocabulary_smaller_than_requested_is_reported(printed: Printed) -> None:
    console, lines = printed
    corpus = Corpus("test", lambda: iter([Piece("ab ab ab")]))
    tokenizer = text.load_or_train_tokenizer(asking(kind="bpe", vocab_size=1_000_000), corpus, console)
    assert lines() == [f"the text yields a vocabulary of only {tokenizer.vocab_size} tokens, not 1,000,000"]


def test_names_of_special_tokens_in_the_text_do_not_train_a_tokenizer(printed: Printed) -> None:
    corpus = Corpus("test", lambda: iter([Piece(f"ab{END}ab")]), (END,), allow_special=True)
    tokenizer = text.load_or_train_tokenizer(asking(), corpus, printed[0])
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.symbols == [END, "a", "b"]


def test_a_large_text_is_announced_and_a_small_or_known_one_is_not(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, lines = printed
    corpus = Corpus("test", lambda: iter([Piece("word " * 60_000, ends=True)]))
    tokenizer = text.load_or_train_tokenizer(asking(kind="bpe", vocab_size=258), corpus, console)
    text.tokenize(Corpus("test", lambda: iter([Piece("small")])), tokenizer, console)
    assert lines() == []
    monkeypatch.setattr(text, "ANNOUNCED_CHARACTERS", 300_000)
    text.load_or_train_tokenizer(asking(kind="bpe", vocab_size=258), corpus, console)
    text.tokenize(corpus, tokenizer, console)
    assert lines() == [
        "reading more than 300,000 characters for the tokenizer ...",
        "reading 300,000 characters for the tokenizer took 0 s",
        "tokenizing 300,000 characters ...",
        "tokenizing 300,000 characters took 0 s",
    ]
    text.tokenize(corpus, tokenizer, console)  # from the cache
    assert len(lines()) == 4


def test_a_progress_bar_counts_the_characters_read_for_a_tokenizer(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, int | None]] = []

    class Bar:
        def __enter__(self) -> Callable[[int, int | None], None]:
            return lambda done, total: shown.append((done, total))

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(text, "progress_bar", lambda console, what: Bar())
    corpus = Corpus("test", lambda: iter([Piece("word " * 60_000)] * 3))
    text.load_or_train_tokenizer(asking(kind="bpe", vocab_size=258), corpus, printed[0])
    assert [call for call in shown if call[1] is None][:3] == [
        (300_000, None),
        (600_000, None),
        (900_000, None),
    ]


def test_the_number_of_files_and_documents_is_reported(
    printed: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, lines = printed
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    for name in ("a.txt", "b.md", "c.png", "d.pdf", ".hidden"):
        Path("texts", name).write_text("some text", encoding="utf-8")
    Path("texts/rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    tokenizer = ByteTokenizer([END])
    text.tokenize(open_corpus("texts"), tokenizer, console)
    text.tokenize(open_corpus("texts/*.txt"), tokenizer, console)
    text.tokenize(open_corpus("texts/a.txt"), tokenizer, console)
    assert lines() == [
        "3 files of texts, 2 skipped, 4 documents",
        "1 file of texts/*.txt, 1 document",
    ]


def test_the_default_prompt_of_dialogues_asks_for_an_answer() -> None:
    tokenizer = CharTokenizer.train(" Usr:Hello.Bt", specials=DIALOGUES.specials)
    settings = RunSettings("talk")
    assert text.with_default_prompt(settings, DIALOGUES, tokenizer, 64).generation.prompt == PROMPT
    asked = RunSettings("talk", generation=GenerationSettings(prompt="<s> User: Why?<sep> Bot:"))
    assert text.with_default_prompt(asked, DIALOGUES, tokenizer, 64) is asked
    assert text.with_default_prompt(settings, DIALOGUES, tokenizer, 8) is settings  # too long
    assert text.with_default_prompt(settings, DIALOGUES, CharTokenizer.train("abc"), 64) is settings
    other = Corpus("test", lambda: iter([Piece("text")]))
    assert text.with_default_prompt(settings, other, tokenizer, 64) is settings


def test_the_settings_reach_the_corpus(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    assert not CorpusSettings().allow_special
    assert open_corpus(str(path), allow_special=True).allow_special
    assert open_corpus("pydoc", allow_special=True).allow_special


def test_bpe_tokens_keep_their_ids_when_special_tokens_are_added() -> None:
    tokenizer = train_bpe(count_chunks(["ab ab abc"], GPT2), 300, GPT2, [END])
    more = tokenizer.with_special_tokens(["<s>"])
    assert isinstance(more, BPETokenizer)
    assert (more.token_ids, more.merges) == (tokenizer.token_ids, tokenizer.merges)
    assert more.encode(f"ab{END}<s>", allow_special=True).tolist()[-2:] == [
        more.vocab_size - 2,
        more.vocab_size - 1,
    ]
    for names, words in (
        (["<s>", "<s>"], "listed 2 times"),
        (["ab"], "is spelled like ordinary token"),
        ([END], "already has the special token"),
    ):
        with pytest.raises(InputError, match=words):
            tokenizer.with_special_tokens(names)
