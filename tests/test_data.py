"""Splitting, random windows, and walking through a text once."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt import CharTokenizer, InputError, data
from scratchgpt.files import read_text
from scratchgpt.ops.cross_entropy import IGNORE_INDEX


def test_split_holds_out_the_end() -> None:
    train, val = data.split(np.arange(1000), 0.1, block_size=64)
    assert train.tolist() == list(range(900))
    assert val.tolist() == list(range(900, 1000))


def test_without_held_out_text_both_parts_are_the_whole() -> None:
    train, val = data.split(np.arange(64), 0.0, block_size=64)
    assert len(train) == len(val) == 64


@pytest.mark.parametrize(
    ("n", "fraction", "words"),
    [
        (50, 0.0, "has 50 tokens, of which 50 are training text; expected at least a block of 64"),
        (100, 0.1, "of which 10 are held-out text.*--training.val_fraction 0"),
        (1, 0.0, "of which 1 are training text"),
        (100, 0.5, "of which 50 are training text"),
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


@given(n=st.integers(2, 200), batch_size=st.integers(1, 7), block_size=st.integers(1, 33))
def test_windows_hold_every_target_exactly_once(n: int, batch_size: int, block_size: int) -> None:
    seen = []
    for x, y in data.windows(np.arange(n), batch_size, block_size):
        assert x.shape == y.shape
        assert x.shape[0] <= batch_size
        assert x.shape[1] <= block_size
        np.testing.assert_array_equal(x + 1, y)
        seen += y.reshape(-1).tolist()
    assert sorted(seen) == list(range(1, n))


@given(n=st.integers(2, 400), limit=st.integers(1, 400))
def test_limited_windows_are_spread_and_never_repeat(n: int, limit: int) -> None:
    seen = [target for _, y in data.windows(np.arange(n), 3, 8, limit) for target in y.reshape(-1).tolist()]
    assert len(seen) == len(set(seen))
    if limit >= n - 1:
        assert len(seen) == n - 1
    else:
        assert len(seen) <= max(limit, 8)
        if len(seen) >= 16:
            assert min(seen) == 1
            assert max(seen) == (n - 1) // 8 * 8


def test_tiny_shakespeare_is_what_everybody_else_has(shared: Path) -> None:
    """65 characters, and nanoGPT's split: 1,003,854 training and 111,540 held-out tokens."""
    text = read_text(shared / "data" / "tinyshakespeare.txt")
    tokenizer = CharTokenizer.train(text)
    train, val = data.split(tokenizer.encode(text), 0.1, block_size=256)
    assert tokenizer.vocab_size == 65
    assert (len(train), len(val)) == (1_003_854, 111_540)
    assert tokenizer.decode(train[:14]) == "First Citizen:"


def test_the_embedded_corpus_is_large_and_plain() -> None:
    text = read_text(ROOT / "data" / "fables.txt")
    assert len(text) >= 120_000
    assert text.isascii()
    titles = [story.split("\n")[0] for story in text.split("\n\n\n")]
    assert len(titles) == len(set(titles)) == 112
    assert len(set(re.findall("[a-z]+", text.lower()))) > 3900
