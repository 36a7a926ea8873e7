"""Replies in dialogues: which ones are asked for, what a model says, and how near that comes."""

import importlib
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt import data
from scratchgpt.corpora.dialogue import dialogue_corpus, dialogue_pieces
from scratchgpt.data import Part
from scratchgpt.language_model import replies
from scratchgpt.language_model.replies import Reply
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.special_tokens import BOS, EOS, PAD, SEP
from scratchgpt.tokenizers.split_patterns import GPT2

DIALOGUES = [
    ["Where is it?", "In the hall.", "And now?", "Gone.", "Oh."],
    ["Hello."],
    ["Who?", "", "Who?", "Me."],
]
SPECIALS = (PAD, BOS, SEP, EOS)
TEXT = "".join(piece.text for turns in DIALOGUES for piece in dialogue_pieces(turns) if not piece.special)
TOKENIZERS: list[Tokenizer] = [
    CharTokenizer.train(TEXT, specials=SPECIALS),
    ByteTokenizer(SPECIALS),
    train_bpe(count_chunks([TEXT], GPT2), 290, GPT2, SPECIALS),
]


def part_of(tokenizer: Tokenizer, dialogues: list[list[str]]) -> Part:
    tokens: list[int] = []
    ends = []
    for turns in dialogues:
        for piece in dialogue_pieces(turns):
            special = tokenizer.special_ids.get(piece.text) if piece.special else None
            tokens += tokenizer.encode(piece.text).tolist() if special is None else [special]
        ends.append(len(tokens))
    return Part(np.array(tokens), np.array(ends), padded=True)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
def test_every_turn_of_the_bot_is_asked_for_with_the_true_turns_before(tokenizer: Tokenizer) -> None:
    assert replies.replies(part_of(tokenizer, DIALOGUES), tokenizer, 999, n=99) == [
        Reply("<s> User: Where is it?<sep> Bot:", "In the hall."),
        Reply("<s> User: Where is it?<sep> Bot: In the hall.<sep> User: And now?<sep> Bot:", "Gone."),
        Reply("<s> User: Who?<sep> Bot:", ""),
        Reply("<s> User: Who?<sep> Bot:<sep> User: Who?<sep> Bot:", "Me."),
    ]


@pytest.mark.peers
def test_pieces_of_sentencepiece_are_cut_alike() -> None:
    pytest.importorskip("sentencepiece")
    from rich.console import Console

    from scratchgpt.tokenizers.training import train_tokenizer
    from scratchgpt.training.text import announced_progress

    settings = {"vocab_size": 300, "pattern": "gpt2", "special_tokens": SPECIALS}
    tokenizer = train_tokenizer(
        "sentencepiece", [TEXT] * 9, bar=partial(announced_progress, Console()), **settings
    )
    part = part_of(tokenizer, DIALOGUES)
    assert replies.replies(part, tokenizer, 999, n=99) == replies.replies(
        part_of(TOKENIZERS[0], DIALOGUES), TOKENIZERS[0], 999, n=99
    )


TURNS = st.lists(st.text("ab .", max_size=5).map(str.strip), min_size=1, max_size=7)


@given(st.lists(TURNS, min_size=1, max_size=5), st.integers(0, 9))
def test_the_turns_of_the_bot_are_every_second_one(dialogues: list[list[str]], n: int) -> None:
    tokenizer = ByteTokenizer(SPECIALS)
    part = part_of(tokenizer, dialogues)
    asked = replies.replies(part, tokenizer, 999, n=999)
    assert [reply.reference for reply in asked] == [turn for turns in dialogues for turn in turns[1::2]]
    some = replies.replies(part, tokenizer, 999, n)
    assert len(some) == min(n, len(asked))
    places = iter(asked)
    assert all(reply in places for reply in some)  # in their order


def test_some_replies_are_spread_over_all() -> None:
    tokenizer = ByteTokenizer(SPECIALS)
    part = part_of(tokenizer, [["?", str(i)] for i in range(100)])
    found = [int(reply.reference) for reply in replies.replies(part, tokenizer, 99, n=4)]
    assert found == [0, 33, 66, 99]


def test_a_prompt_longer_than_a_block_is_left_out() -> None:
    tokenizer = TOKENIZERS[0]
    part = part_of(tokenizer, DIALOGUES[:1])
    first, second = replies.replies(part, tokenizer, 999, n=9)
    length = len(tokenizer.encode(second.prompt, allow_special=True))
    assert replies.replies(part, tokenizer, length, n=9) == [first, second]
    assert replies.replies(part, tokenizer, length - 1, n=9) == [first]
    assert replies.replies(part, tokenizer, 3, n=9) == []


def test_a_dialogue_that_lost_its_beginning_is_left_out() -> None:
    tokenizer = TOKENIZERS[0]
    whole = part_of(tokenizer, DIALOGUES)
    cut = whole.between(20, len(whole))
    assert [reply.reference for reply in replies.replies(cut, tokenizer, 999, n=9)] == ["", "Me."]


def test_three_dialogues_are_recalled_word_for_word() -> None:
    """A model that knows its dialogues by heart replies with the very words, and BLEU says 100."""
    dialogues = [
        ["Who has the key?", "Ben has the key now."],
        ["And the lamp?", "Eva has got the lamp.", "Why?", "It was dark in the hall."],
    ]
    corpus = dialogue_corpus("three", lambda: iter(dialogues), bot_only=True)
    tokenizer = CharTokenizer.train(
        "".join(p.text for p in corpus.pieces() if not p.special), specials=SPECIALS
    )
    part = part_of(tokenizer, dialogues)
    model = sg.GPT(sg.GPTConfig(tokenizer.vocab_size, 128, n_layer=1, n_head=2, n_embd=32))
    params, backend = model.init(seed=0), sg.get_backend("numpy")
    optimizer = sg.make_optimizer("adamw", params, backend, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    x, y = data.rows_of(part, 128).batch(np.arange(2))
    for _ in range(120):
        _, grads = sg.loss_and_grads(model, params, x, y, backend=backend)
        optimizer.step(grads, 1e-2)
    asked = replies.replies(part, tokenizer, 128, n=9)
    said = replies.answers(sg.LanguageModel(model, params, tokenizer, backend), asked)
    references = [reply.reference for reply in asked]
    assert said == references == ["Ben has the key now.", "Eva has got the lamp.", "It was dark in the hall."]
    assert replies.exact_match(references, said) == 1.0
    if found := replies.bleu(references, said):
        assert found.score == pytest.approx(100)


def test_exact_match_is_to_the_letter() -> None:
    assert replies.exact_match(["a", "b", "c", ""], ["a", "B", "c.", ""]) == 0.5


@pytest.mark.peers
def test_bleu_is_sacrebleus() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    references = ["Ben has the key now.", "It is in the old garden, I think.", "No."]
    said = ["Ben has the lamp now.", "It is in the garden, I think.", "Yes."]
    expected = sacrebleu.corpus_bleu(said, [references])
    found = replies.bleu(references, said)
    assert found is not None
    assert 20 < found.score == expected.score < 80
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    assert replies.bleu(references, references).score == pytest.approx(100)  # type: ignore[union-attr]


def test_without_the_package_there_is_no_bleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ImportError):
        importlib.import_module("sacrebleu")
    assert replies.bleu(["a"], ["a"]) is None
