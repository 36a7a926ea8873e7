"""What a run is told of its text while it is read, and what it asks of a tokenizer that exists."""

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
Said = tuple[Console, Callable[[], list[str]]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Said:
    """A console that is no terminal, and what has been printed on it, line by line."""
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
    said: Said, tmp_path: Path, loaded: Tokenizer
) -> None:
    console, lines = said
    path = tokenizers.save(loaded, tmp_path / "loaded")
    asked = asking(path=str(path), special_tokens=["<more>", "<s>"], pad=True)
    tokenizer = text.tokenizer_for(asked, DIALOGUES, console)
    n = loaded.vocab_size
    added = {"<pad>": n, "<sep>": n + 1, "</s>": n + 2, "<more>": n + 3}
    assert dict(tokenizer.special_ids) == dict(loaded.special_ids) | added
    assert tokenizer.vocab_size == n + 4
    assert tokenizer.encode("Hello. Bot").tolist() == loaded.encode("Hello. Bot").tolist()
    assert lines() == ["special tokens added to the tokenizer: <pad> <sep> </s> <more>"]
    assert tokenizers.from_bytes(tokenizer.to_bytes(), "again").special_ids == tokenizer.special_ids
    assert text.tokens_of(DIALOGUES, tokenizer, console).vocab_size == n + 4


def test_a_loaded_tokenizer_that_lacks_nothing_is_as_it_was(said: Said, tmp_path: Path) -> None:
    console, lines = said
    loaded = ByteTokenizer(["<s>", "</s>", "<sep>"])  # and no <pad>, which is no text
    path = tokenizers.save(loaded, tmp_path)
    assert text.tokenizer_for(asking(path=str(path)), DIALOGUES, console).to_bytes() == loaded.to_bytes()
    assert lines() == []


def test_a_sentencepiece_model_takes_no_more_tokens_and_the_message_says_what_to_do(
    said: Said, tmp_path: Path
) -> None:
    pytest.importorskip("sentencepiece")
    path = tokenizers.save(tokenizers.SentencePieceTokenizer.train(["some text"], 280, []), tmp_path)
    with pytest.raises(
        InputError, match=r"lacks the special tokens <sep>, .*--tokenizer\.kind sentencepiece"
    ):
        text.tokenizer_for(asking(path=str(path)), DIALOGUES, said[0])


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_names_that_are_none_are_found_before_the_text_is_read(kind: str, said: Said) -> None:
    def pieces() -> Iterator[Piece]:
        yield Piece("text")
        raise AssertionError("the text was read")

    corpus = Corpus("test", pieces, specials=("", END))
    with pytest.raises(InputError, match="name of a special token is ''"):
        text.tokenizer_for(asking(kind=kind), corpus, said[0])


def test_a_vocabulary_that_the_text_does_not_yield_is_said(said: Said) -> None:
    console, lines = said
    corpus = Corpus("test", lambda: iter([Piece("ab ab ab")]))
    tokenizer = text.tokenizer_for(asking(kind="bpe", vocab_size=1_000_000), corpus, console)
    assert lines() == [f"the text yields a vocabulary of {tokenizer.vocab_size} tokens, not 1,000,000"]


def test_names_in_the_text_are_no_text_for_a_tokenizer_that_is_made(said: Said) -> None:
    corpus = Corpus("test", lambda: iter([Piece(f"ab{END}ab")]), (END,), allow_special=True)
    tokenizer = text.tokenizer_for(asking(), corpus, said[0])
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.symbols == [END, "a", "b"]


def test_a_large_text_is_announced_and_a_small_or_known_one_is_not(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, lines = said
    corpus = Corpus("test", lambda: iter([Piece("word " * 60_000, ends=True)]))
    tokenizer = text.tokenizer_for(asking(kind="bpe", vocab_size=258), corpus, console)
    text.tokens_of(Corpus("test", lambda: iter([Piece("small")])), tokenizer, console)
    assert lines() == []
    monkeypatch.setattr(text, "LARGE_TEXT", 300_000)
    text.tokenizer_for(asking(kind="bpe", vocab_size=258), corpus, console)
    text.tokens_of(corpus, tokenizer, console)
    assert lines() == [
        "reading more than 300,000 characters for the tokenizer ...",
        "reading 300,000 characters for the tokenizer took 0 s",
        "cutting 300,000 characters into tokens ...",
        "cutting 300,000 characters into tokens took 0 s",
    ]
    text.tokens_of(corpus, tokenizer, console)  # from the cache
    assert len(lines()) == 4


def test_a_bar_shows_how_many_characters_are_read_for_a_tokenizer(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, int | None]] = []

    class Bar:
        def __enter__(self) -> Callable[[int, int | None], None]:
            return lambda done, total: shown.append((done, total))

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(text, "progress_bar", lambda console, what: Bar())
    corpus = Corpus("test", lambda: iter([Piece("word " * 60_000)] * 3))
    text.tokenizer_for(asking(kind="bpe", vocab_size=258), corpus, said[0])
    assert [call for call in shown if call[1] is None][:3] == [
        (300_000, None),
        (600_000, None),
        (900_000, None),
    ]


def test_what_was_read_of_a_folder_is_said(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, lines = said
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    for name in ("a.txt", "b.md", "c.png", "d.pdf", ".hidden"):
        Path("texts", name).write_text("some text", encoding="utf-8")
    Path("texts/rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    tokenizer = ByteTokenizer([END])
    text.tokens_of(open_corpus("texts"), tokenizer, console)
    text.tokens_of(open_corpus("texts/*.txt"), tokenizer, console)
    text.tokens_of(open_corpus("texts/a.txt"), tokenizer, console)
    assert lines() == [
        "3 files of texts, 2 skipped, 4 documents",
        "1 file of texts/*.txt, 1 document",
    ]


def test_a_dialogue_model_is_asked_for_an_answer_when_nobody_says_what() -> None:
    tokenizer = CharTokenizer.train(" Usr:Hello.Bt", specials=DIALOGUES.specials)
    settings = RunSettings("talk")
    assert text.prompted(settings, DIALOGUES, tokenizer, 64).generation.prompt == PROMPT
    asked = RunSettings("talk", generation=GenerationSettings(prompt="<s> User: Why?<sep> Bot:"))
    assert text.prompted(asked, DIALOGUES, tokenizer, 64) is asked
    assert text.prompted(settings, DIALOGUES, tokenizer, 8) is settings  # too long
    assert text.prompted(settings, DIALOGUES, CharTokenizer.train("abc"), 64) is settings
    other = Corpus("test", lambda: iter([Piece("text")]))
    assert text.prompted(settings, other, tokenizer, 64) is settings


def test_the_settings_reach_the_corpus(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    assert not CorpusSettings().allow_special
    assert open_corpus(str(path), allow_special=True).allow_special
    assert open_corpus("pydoc", allow_special=True).allow_special


def test_bpe_tokens_keep_their_ids_beside_new_special_tokens() -> None:
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
