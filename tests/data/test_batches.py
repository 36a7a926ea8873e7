"""Rows of a text and batches of rows: every target that counts in the loss occurs exactly once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scratchgpt.data import (
    Batches,
    EpochBatches,
    Examples,
    Part,
    RandomBatches,
    Rows,
    Windows,
    n_longer_than_a_row,
    random_batch,
    rows_of,
)
from scratchgpt.errors import InputError
from scratchgpt.ops.cross_entropy import IGNORE_INDEX

PAD = 60_000  # not a token of the texts here, which are shorter and whose tokens are 0, 1, 2, ...


@pytest.fixture(autouse=True)
def padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scratchgpt.data.rows.PADDING", PAD)


@st.composite
def texts(draw: st.DrawFn) -> Part:
    """Draw a text of a few documents, in which some tokens may not count in the loss."""
    lengths = draw(st.lists(st.integers(1, 25), min_size=1, max_size=10))
    ends = np.cumsum(lengths)
    n = int(ends[-1])
    loss_mask = draw(st.none() | st.lists(st.integers(0, 1), min_size=n, max_size=n))
    return Part(
        np.arange(n, dtype=np.uint16),
        ends,
        None if loss_mask is None else np.array(loss_mask, dtype=np.uint8),
    )


def is_learned(text: Part, token: int) -> bool:
    return text.loss_mask is None or bool(text.loss_mask[token])


def check_rows(rows: Rows, text: Part, expected_targets: list[int]) -> None:
    x, y = rows.batch(np.arange(len(rows)))
    assert x.shape == y.shape == (len(rows), rows.block_size)
    assert x.dtype == y.dtype == np.int64
    counted = y != IGNORE_INDEX
    assert counted.any(axis=1).all()  # every row has a target that counts
    assert sorted(y[counted].tolist()) == expected_targets
    np.testing.assert_array_equal(x[counted] + 1, y[counted])
    for row in x:
        tokens = row[row != PAD]
        assert (row[len(tokens) :] == PAD).all()
        assert tokens.tolist() == list(range(tokens[0], tokens[0] + len(tokens)))


@given(text=texts(), block_size=st.integers(1, 30))
def test_windows_hold_every_target_that_counts_exactly_once(text: Part, block_size: int) -> None:
    targets = [token for token in range(1, len(text)) if is_learned(text, token)]
    assume(targets)
    rows = Windows(text, block_size)
    check_rows(rows, text, targets)
    assert (rows.batch(np.arange(len(rows)))[0][:, 0] % block_size == 0).all()
    if text.loss_mask is None:
        assert len(rows) == -(-(len(text) - 1) // block_size)
        assert rows.n_tokens == len(text) - 1


@given(text=texts(), block_size=st.integers(1, 30))
def test_examples_hold_every_target_that_counts_exactly_once(text: Part, block_size: int) -> None:
    spans = list(pairwise([0, *text.ends.tolist()]))
    targets = [token for start, end in spans for token in range(start + 1, end) if is_learned(text, token)]
    assume(targets)
    rows = Examples(text, block_size)
    check_rows(rows, text, targets)
    document = np.repeat(np.arange(len(spans)), [end - start for start, end in spans])
    for row in rows.batch(np.arange(len(rows)))[0]:
        tokens = row[row != PAD]
        assert len(set(document[tokens])) == 1
        assert (tokens[0] - spans[document[tokens[0]]][0]) % block_size == 0


def test_examples_by_hand() -> None:
    loss_mask = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0])
    text = Part(np.arange(100, 112), np.array([3, 8, 9, 10, 12]), loss_mask, padded=True)
    rows = rows_of(text, 3)
    x, y = rows.batch(np.arange(len(rows)))
    assert x.tolist() == [
        [100, 101, 102],
        [103, 104, 105],
        [106, 107, PAD],
    ]  # the last document: nothing counts
    assert y.tolist() == [[101, 102, -100], [104, 105, 106], [107, -100, -100]]


@pytest.mark.parametrize("kind", [Windows, Examples])
@pytest.mark.parametrize(
    "text",
    [
        Part.of(np.array([1])),
        Part(np.arange(4), np.array([4]), np.array([1, 0, 0, 0])),
    ],
    ids=["one token", "none in the loss"],
)
def test_a_text_without_targets_is_refused(kind: type[Windows | Examples], text: Part) -> None:
    with pytest.raises(InputError, match="no target counts"):
        kind(text, 4)


@pytest.mark.parametrize("n", [5, 8, 9, 500])
def test_random_batches_of_windows_are_those_of_random_batch(n: int) -> None:
    tokens = np.random.default_rng(0).integers(0, 50, n).astype(np.uint16)
    batches = RandomBatches(Windows(Part.of(tokens), min(n, 8)), 16)
    for seed in range(5):
        ours = batches.draw(np.random.default_rng(seed))
        theirs = random_batch(tokens.astype(np.int32), 16, min(n, 8), np.random.default_rng(seed))
        np.testing.assert_array_equal(ours, theirs)
    assert batches.position == 80


def test_a_random_batch_of_windows_always_has_a_target_that_counts() -> None:
    loss_mask = np.zeros(300, dtype=np.uint8)
    loss_mask[150] = 1
    batches = RandomBatches(Windows(Part(np.arange(300), np.array([300]), loss_mask), 8), 2)
    rng = np.random.default_rng(0)
    for _ in range(20):
        _, y = batches.draw(rng)
        assert set(y[y != IGNORE_INDEX].tolist()) == {150}


def test_random_examples_are_whole_rows_with_equal_probability() -> None:
    rows = Examples(Part(np.arange(40), np.arange(4, 44, 4), padded=True), 8)
    x, _ = RandomBatches(rows, 4000).draw(np.random.default_rng(0))
    first, counts = np.unique(x[:, 0], return_counts=True)
    assert first.tolist() == list(range(0, 40, 4))
    assert counts.min() > 300


def drawn(batches: Batches, n: int) -> list[np.ndarray]:
    return [np.stack(batches.draw(np.random.default_rng(i))) for i in range(n)]


@given(n=st.integers(2, 60), block_size=st.integers(1, 9), batch_size=st.integers(1, 25))
def test_an_epoch_holds_every_row_once(n: int, block_size: int, batch_size: int) -> None:
    rows = Windows(Part.of(np.arange(n)), block_size)
    batches = EpochBatches(rows, batch_size, seed=3)
    n_batches = -(-3 * len(rows) // batch_size)
    xs = [x for x, _ in drawn(batches, n_batches)]
    assert {len(x) for x in xs} == {batch_size}
    assert batches.position == n_batches * batch_size
    assert batches.epoch == batches.position // len(rows)
    firsts = np.concatenate(xs)[: 3 * len(rows), 0].reshape(3, len(rows))
    for epoch in firsts:
        assert sorted(epoch.tolist()) == list(range(0, n - 1, block_size))


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    rows = Windows(Part.of(np.arange(400)), 4)
    orders = []
    for seed in (1, 2):
        batches = EpochBatches(rows, len(rows), seed)
        orders += [tuple(x[:, 0].tolist()) for x, _ in drawn(batches, 2)]
    assert len(set(orders)) == 4
    assert tuple(range(0, 400, 4)) not in orders


@given(before=st.integers(0, 12), batch_size=st.integers(1, 30))
def test_setting_the_position_resumes_the_same_batches(before: int, batch_size: int) -> None:
    rows = Windows(Part.of(np.arange(100)), 7)
    whole = drawn(EpochBatches(rows, batch_size, seed=5), before + 6)
    first = EpochBatches(rows, batch_size, seed=5)
    drawn(first, before)
    resumed = EpochBatches(rows, batch_size, seed=5)
    resumed.position = first.position
    np.testing.assert_array_equal(drawn(resumed, 6), whole[before:])


def test_documents_longer_than_a_row_are_counted() -> None:
    part = Part(np.arange(30), np.array([5, 11, 18, 30]), padded=True)  # of 5, 6, 7 and 12 tokens
    for block_size, n in ((3, 4), (4, 3), (5, 2), (6, 1), (10, 1), (11, 0), (99, 0)):
        assert n_longer_than_a_row(part, block_size) == n
        assert (len(rows_of(part, block_size)) > len(part.ends)) == (n > 0)
