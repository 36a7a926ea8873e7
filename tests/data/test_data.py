"""Splitting a text, and drawing random windows from it."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt import CharTokenizer, InputError, data
from scratchgpt.data import Part
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.utils.files import read_text
from tests.support.project import ROOT


def test_split_holds_out_the_end() -> None:
    train, val = data.split(np.arange(1000), 0.1, block_size=64)
    assert train.tolist() == list(range(900))
    assert val.tolist() == list(range(900, 1000))


def test_without_held_out_text_both_parts_are_the_whole_text() -> None:
    train, val = data.split(np.arange(64), 0.0, block_size=64)
    assert len(train) == len(val) == 64


@pytest.mark.parametrize(
    ("n", "fraction", "words"),
    [
        (50, 0.0, "has 50 tokens, and its training part has 50; expected at least 64"),
        (100, 0.1, "its validation part has 10;.*--training.val_fraction 0"),
        (1, 0.0, "has 1 token, and its training part has 1"),
        (100, 0.5, "its training part has 50"),
    ],
)
def test_a_part_shorter_than_a_block_is_refused(n: int, fraction: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        data.split(np.arange(n), fraction, block_size=64)


def test_targets_are_the_next_tokens() -> None:
    tokens = np.random.default_rng(0).integers(0, 50, 500)
    x, y = data.random_batch(tokens, 300, 16, np.random.default_rng(1))
    assert x.shape == y.shape == (300, 16)
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    windows = {tuple(tokens[i : i + 17]) for i in range(484)}
    for row, target in zip(x, y, strict=True):
        assert (*row, target[-1]) in windows


def test_every_window_can_be_drawn_and_none_reads_past_the_end() -> None:
    tokens = np.arange(10)
    x, y = data.random_batch(tokens, 2000, 4, np.random.default_rng(0))
    assert set(x[:, 0]) == set(range(6))
    np.testing.assert_array_equal(y, x + 1)


def test_a_text_of_one_block_is_one_window() -> None:
    x, y = data.random_batch(np.arange(5), 2, 5, np.random.default_rng(0))
    assert x.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert y.tolist() == [[1, 2, 3, 4, IGNORE_INDEX]] * 2


@st.composite
def texts(draw: st.DrawFn) -> Part:
    """Draw a text of a few documents whose tokens are all distinct."""
    lengths = draw(st.lists(st.integers(1, 20), min_size=1, max_size=12))
    ends = np.cumsum(lengths)
    return Part(np.arange(ends[-1]), ends, padded=draw(st.booleans()))


def has_enough(part: Part, block_size: int) -> bool:
    if part.padded:
        return any(len(document) >= 2 for document in documents(part))
    return len(part) >= max(block_size, 2)


def documents(part: Part) -> list[list[int]]:
    return [part.tokens[start:end].tolist() for start, end in pairwise([0, *part.ends.tolist()])]


@given(text=texts(), fraction=st.floats(0.01, 0.99), block_size=st.integers(1, 12))
def test_a_split_is_at_the_document_boundary_nearest_to_the_fraction(
    text: Part, fraction: float, block_size: int
) -> None:
    place = int(len(text) * (1 - fraction))
    good = [
        end
        for end in text.ends[:-1].tolist()
        if has_enough(text.between(0, end), block_size)
        and has_enough(text.between(end, len(text)), block_size)
        and fraction / 2 <= (len(text) - end) / len(text) <= fraction * 2
    ]
    try:
        train, val = data.split(text, fraction, block_size)
    except InputError:
        assert not good
        halves = text.between(0, place), text.between(place, len(text))
        assert not all(has_enough(half, block_size) for half in halves)
        return
    assert [*train.tokens, *val.tokens] == text.tokens.tolist()
    assert train.padded == val.padded == text.padded
    assert has_enough(train, block_size)
    assert has_enough(val, block_size)
    if good:
        assert len(train) in good
        assert abs(len(train) - place) == min(abs(end - place) for end in good)
        assert documents(train) + documents(val) == documents(text)
    else:
        assert len(train) == place


def test_a_boundary_far_from_the_fraction_is_not_used() -> None:
    text = Part(np.arange(1000), np.array([10, 1000]))
    train, val = data.split(text, 0.1, block_size=10)
    assert (len(train), len(val)) == (900, 100)
    text = Part(np.arange(1000), np.array([790, 800, 1000]))
    train, val = data.split(text, 0.1, block_size=10)
    assert (len(train), len(val)) == (800, 200)
    long = Part(np.arange(1000), np.array([790, 1000]), padded=True)
    train, val = data.split(long, 0.1, block_size=10)
    assert (len(train), len(val)) == (900, 100)


def test_a_part_keeps_the_loss_mask_and_the_ends_of_documents() -> None:
    loss_mask = np.array([1, 0, 1, 1, 0, 0, 1, 1, 0, 1])
    text = Part(np.arange(10), np.array([4, 6, 10]), loss_mask, padded=True)
    part = text.between(2, 8)
    assert part.tokens.tolist() == [2, 3, 4, 5, 6, 7]
    assert part.ends.tolist() == [2, 4, 6]
    assert part.loss_mask is not None
    assert part.loss_mask.tolist() == [1, 1, 0, 0, 1, 1]
    assert part.padded


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_padded_documents_of_one_token_are_not_enough(fraction: float) -> None:
    text = Part(np.arange(9), np.arange(1, 10), padded=True)
    with pytest.raises(InputError, match=r"has 9 tokens.*expected at least a document of 2 tokens there"):
        data.split(text, fraction, 4)


def test_tiny_shakespeare_has_the_usual_vocabulary_and_split(shared: Path) -> None:
    """65 characters, and nanoGPT's split: 1,003,854 training and 111,540 held-out tokens."""
    text = read_text(shared / "data" / "tinyshakespeare.txt")
    tokenizer = CharTokenizer.train(text)
    train, val = data.split(tokenizer.encode(text), 0.1, block_size=256)
    assert tokenizer.vocab_size == 65
    assert (len(train), len(val)) == (1_003_854, 111_540)
    assert tokenizer.decode(train[:14]) == "First Citizen:"


def test_the_fables_are_long_enough_and_plain_ascii() -> None:
    text = read_text(ROOT / "data" / "fables.txt")
    assert len(text) >= 120_000
    assert text.isascii()
    titles = [story.split("\n")[0] for story in text.split("\n\n\n")]
    assert len(titles) == len(set(titles)) == 112
    assert len(set(re.findall("[a-z]+", text.lower()))) > 3900
