"""Where a text ends, and what is held back until that is certain."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.generation.decoder import Decoder
from scratchgpt.generation.stopping import Continuation, find_stop, n_uncertain
from scratchgpt.gradcheck.model_cases import awkward_params
from scratchgpt.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from scratchgpt.tokenizers.bpe_training import train_bpe

WORDS = Counter({"aab": 9, "abba": 7, "baab": 5, "é": 4, "aé": 3})
BPE: BPETokenizer = train_bpe(WORDS, 266, "(?s).+", ["</s>"])
END = BPE.special_ids["</s>"]
LETTERS = [i for i in range(BPE.vocab_size) if set(BPE.decode_bytes([i])) <= set("abé".encode())]
TOKENS = st.lists(st.sampled_from(LETTERS), max_size=12)
STOPS = st.lists(st.text("abé", min_size=1, max_size=4), max_size=3)


def test_the_tokens_of_these_tests_are_of_several_letters_and_of_parts_of_one() -> None:
    texts = [BPE.decode([i]) for i in LETTERS]
    assert max(map(len, texts)) >= 3 and "\ufffd" in texts and END not in LETTERS


def cut(text: str, stop: list[str]) -> tuple[str, bool]:
    """The definition: letter by letter, until one of the stop strings is there."""
    for n in range(1, len(text) + 1):
        if found := [one for one in stop if text[:n].endswith(one)]:
            return text[: n - max(map(len, found))], True
    return text, False


def taken(
    tokenizer: Tokenizer, tokens: list[int], stop: list[str], limit: int = 99
) -> tuple[list[str], str | None]:
    """Return the pieces of text, and why it ended."""
    text = Continuation(tokenizer, limit, [END], stop)
    pieces: list[str] = []
    for token in tokens:
        if not text.finish_reason:
            pieces += text.take(token)
    return pieces, text.finish_reason


@given(TOKENS, STOPS)
def test_a_text_is_cut_before_the_stop_string_that_is_complete_first(
    tokens: list[int], stop: list[str]
) -> None:
    expected, stopped = cut(BPE.decode(tokens), stop)
    pieces, reason = taken(BPE, [*tokens, END], stop)
    assert "".join(pieces) == expected
    assert reason == ("stop" if stopped else "end")
    by_length, reason = taken(BPE, tokens, stop, limit=len(tokens))
    if tokens:
        assert "".join(by_length) == expected
        assert reason == ("stop" if stopped else "length")


@given(TOKENS, STOPS)
def test_what_is_released_is_certain_and_nothing_else_is_held(tokens: list[int], stop: list[str]) -> None:
    text, released = Continuation(BPE, 99, [END], stop), ""
    for n, token in enumerate(tokens, start=1):
        released += "".join(text.take(token))
        if text.finish_reason:
            return
        so_far = BPE.decode(tokens[:n])
        if BPE.decode_bytes(tokens[:n]).endswith("é".encode()[:1]):
            so_far = so_far.removesuffix("\ufffd")  # the first half of a letter
        assert so_far.startswith(released)
        held = so_far[len(released) :]
        # Every beginning of a stop string at the end is held, and only tokens that reach into the longest.
        begins = [one[:k] for one in stop for k in range(1, len(one)) if so_far.endswith(one[:k])]
        longest = max(map(len, begins), default=0)
        assert len(held) >= longest
        last_tokens = [BPE.decode([i]) for i in tokens[:n]]
        if "\ufffd" not in "".join(last_tokens):
            while last_tokens and longest > 0:
                longest -= len(last_tokens.pop())
            assert released == "".join(last_tokens)


@given(TOKENS, STOPS)
def test_there_is_one_piece_per_token_in_order(tokens: list[int], stop: list[str]) -> None:
    pieces, reason = taken(BPE, [*tokens, END], stop)
    assert len(pieces) <= len(tokens)
    if reason == "end":
        assert len(pieces) == len(tokens)
    for piece, token in list(zip(pieces, tokens, strict=False))[: len(pieces) - 1]:
        letters = BPE.decode([token])
        if "\ufffd" not in letters and "\ufffd" not in piece and "é" not in piece:
            assert piece == letters


def test_a_stop_string_may_begin_and_end_within_tokens() -> None:
    aab, abba = (BPE.encode(word).tolist() for word in ("aab", "abba"))
    assert len(aab) == len(abba) == 1
    assert taken(BPE, [*aab, *abba], ["bab"]) == (["aa"], "stop")
    assert taken(BPE, [*aab, *abba], ["ab"]) == (["a"], "stop")
    assert taken(BPE, [*aab, *abba], ["aab"]) == ([], "stop")
    assert taken(BPE, [*aab, *abba], ["aababbax"]) == ([], None)  # held: an x may follow
    assert taken(BPE, [*aab, *abba], ["bax"]) == (["aab"], None)


def test_an_end_token_and_the_maximum_length_release_held_text() -> None:
    tokens = BPE.encode("aab").tolist()
    assert taken(BPE, tokens, ["bx"]) == ([], None)
    assert taken(BPE, [*tokens, END], ["bx"]) == (["aab"], "end")
    assert taken(BPE, tokens, ["bx"], limit=1) == (["aab"], "length")
    assert taken(BPE, [END], []) == ([], "end")
    assert Continuation(BPE, 0).finish_reason == "length"


def test_a_character_of_several_tokens_is_held_until_complete() -> None:
    euro = list("€!".encode())
    text = Continuation(ByteTokenizer(), 99)
    assert [text.take(token) for token in euro] == [[], [""], ["", "€"], ["!"]]
    pieces, _ = taken(ByteTokenizer(), euro[:2], [], limit=2)
    assert "".join(pieces) == "\ufffd"
    assert len(pieces) == 2


def test_find_and_hold_by_hand() -> None:
    assert find_stop("one two", ["two", "ne"]) == 1
    assert find_stop("abc", ["bc", "abc", "c"]) == 0
    assert find_stop("abc", []) is None
    assert n_uncertain("xx ab", ["abc", "bd"]) == 2
    assert n_uncertain("ab", ["abab"]) == 2
    assert n_uncertain("abc", ["x"]) == 0
    assert n_uncertain("", ["ab"]) == 0


# A whole language model

CONFIG = sg.GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)
MODEL = sg.GPT(CONFIG)
CHARS = CharTokenizer("\nabcdefghij")
LM = sg.LanguageModel(MODEL, awkward_params(MODEL), CHARS, sg.get_backend())


@pytest.mark.parametrize("seed", range(5))
def test_generate_stream_and_batch_stop_at_the_same_place(seed: int) -> None:
    whole = LM.generate("abc", max_new_tokens=30, seed=seed)
    stop = [whole[12:14], whole[10:13]]
    expected = cut(whole, stop)[0]
    assert len(expected) < 13
    assert LM.generate("abc", max_new_tokens=30, seed=seed, stop=stop) == expected
    assert "".join(LM.stream("abc", max_new_tokens=30, seed=seed, stop=stop)) == expected
    batch = LM.generate_batch(["a", "abc", "abc"], max_new_tokens=30, seed=[9, seed, seed + 1], stop=stop)
    assert batch[1] == expected
    assert batch[2] == cut(LM.generate("abc", max_new_tokens=30, seed=seed + 1), stop)[0]


def test_nothing_is_computed_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LM.generate("abc", max_new_tokens=30, seed=1)
    n_passes = 0
    run_pass = Decoder._run

    def counted(*args: Any) -> Any:
        nonlocal n_passes
        n_passes += 1
        return run_pass(*args)

    monkeypatch.setattr(Decoder, "_run", counted)
    stop = [whole[3:5]]
    expected = cut(whole, stop)[0]
    assert LM.generate("abc", max_new_tokens=30, seed=1, stop=stop) == expected
    assert n_passes == len(expected) + 2  # the prompt, and all tokens but the last of the stop string


def test_a_language_model_with_tokens_of_several_letters_stops_within_them() -> None:
    model = sg.GPT(sg.GPTConfig(BPE.vocab_size, 8, n_layer=1, n_head=2, n_embd=8))
    lm = sg.LanguageModel(model, awkward_params(model), BPE, sg.get_backend(), eos_token_ids=(END,))
    settings = {"logit_bias": {"aab": 90, "abba": 90, "baab": 90}, "max_new_tokens": 8}
    stop = ["bbaaab", "bbb"]
    expected = []
    for seed in range(12):
        whole = lm.generate("a", seed=seed, **settings)
        expected.append(cut(whole, stop)[0])
        assert len(whole) > 8 * 2 and set(whole) == {"a", "b"}
        pieces = list(lm.stream("a", seed=seed, stop=stop, **settings))
        assert "".join(pieces) == expected[-1]
        assert max(map(len, pieces), default=0) <= 4
    assert len({len(text) for text in expected}) > 3
    assert lm.generate_batch(["a"] * 12, seed=0, stop=stop, **settings) == expected
