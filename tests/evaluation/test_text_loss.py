"""The loss on a text: the mean over the targets that count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.data import Examples, Part, Windows
from scratchgpt.evaluation.text_loss import spread_evenly, text_loss
from scratchgpt.ops.cross_entropy import IGNORE_INDEX

MODEL = sg.GPT(sg.GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=12))
PARAMS = MODEL.init(seed=1, dtype="float64").map(lambda flat: flat * 8)  # far from uniform
TOKENS = np.random.default_rng(0).integers(1, 11, 61)


def losses_one_by_one(backend: Backend, text: Part, starts: list[int], ends: list[int]) -> list[float]:
    """Return the loss of every target that counts, each span of tokens computed alone, without padding."""
    found = []
    for start, end in zip(starts, ends, strict=True):
        x, y = text.tokens[None, start : end - 1], text.tokens[None, start + 1 : end]
        for place in range(y.shape[1]):
            if text.loss_mask is None or text.loss_mask[start + 1 + place]:
                only = np.full_like(y, IGNORE_INDEX)
                only[0, place] = y[0, place]
                found.append(sg.loss(MODEL, PARAMS, x, only, backend=backend))
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 50])
@pytest.mark.parametrize("some_learned", [False, True])
def test_windows_weight_every_target_equally(backend: Backend, batch_size: int, some_learned: bool) -> None:
    loss_mask = (np.arange(61) % 5 < 2) if some_learned else None
    text = Part(TOKENS, np.array([61]), loss_mask)
    starts = list(range(0, 60, 8))
    expected = losses_one_by_one(backend, text, starts, [min(start + 9, 61) for start in starts])
    loss = text_loss(sg.BoundModel(MODEL, PARAMS, backend), Windows(text, 8), batch_size=batch_size).loss
    assert loss == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize("padding", [0, 7])
def test_padding_never_counts(backend: Backend, padding: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scratchgpt.data.rows.PADDING", padding)
    ends = [3, 4, 9, 11, 18]  # none is longer than a block and a target
    text = Part(TOKENS[:18], np.array(ends), padded=True)
    expected = losses_one_by_one(backend, text, [0, *ends[:-1]], ends)
    assert len(expected) == 13
    rows = Examples(text, 8)
    loss = text_loss(sg.BoundModel(MODEL, PARAMS, backend), rows, batch_size=50).loss
    assert loss == pytest.approx(np.mean(expected), rel=1e-12)
    x, y = rows.batch(np.arange(len(rows)))
    assert sg.loss(MODEL, PARAMS, x, y, backend=backend) == pytest.approx(np.mean(expected), rel=1e-12)


def test_the_gradient_of_a_padded_batch_is_that_of_its_examples(backend: Backend) -> None:
    ends = [3, 4, 9, 11, 18]
    rows = Examples(Part(TOKENS[:18], np.array(ends), padded=True), 8)
    _, grads = sg.loss_and_grads(MODEL, PARAMS, *rows.batch(np.arange(len(rows))), backend=backend)
    expected = np.zeros_like(grads.flat)
    for start, end in zip([0, *ends], ends, strict=False):
        if end - start > 1:
            x, y = TOKENS[None, start : end - 1], TOKENS[None, start + 1 : end]
            expected += sg.loss_and_grads(MODEL, PARAMS, x, y, backend=backend)[1].flat * (y.size / 13)
    np.testing.assert_allclose(grads.flat, expected, rtol=1e-9, atol=1e-12)


@given(n=st.integers(2, 400), limit=st.integers(1, 400))
def test_limited_rows_are_full_ones_spread_over_the_text(n: int, limit: int) -> None:
    rows = Windows(Part.of(np.arange(n)), 8)
    chosen = spread_evenly(rows, limit)
    _, y = rows.batch(chosen)
    seen = y[y != IGNORE_INDEX].tolist()
    assert len(seen) == len(set(seen))
    if limit >= n - 1:
        assert len(seen) == n - 1
    else:
        assert len(seen) <= max(limit, 8)
        if len(seen) >= 16:
            assert min(seen) == 1
            assert max(seen) == (n - 1) // 8 * 8


def test_limited_rows_of_examples_are_spread_over_all() -> None:
    rows = Examples(Part(np.arange(90), np.arange(3, 93, 3), padded=True), 8)
    assert spread_evenly(rows, 40).tolist() == [0, 7, 14, 21, 29]
    assert spread_evenly(rows, None).tolist() == spread_evenly(rows, 30 * 8).tolist() == list(range(30))


ADAPTIVE = sg.GPT(
    sg.GPTConfig(11, 8, n_layer=1, n_head=2, n_embd=12, tie_weights=False, adaptive_cutoffs=[4, 7])
)


@pytest.mark.parametrize("model", [MODEL, ADAPTIVE], ids=["plain", "adaptive"])
@pytest.mark.parametrize("chunk", [1, 40, 1 << 20])
@pytest.mark.parametrize("some_learned", [False, True])
def test_accuracy_is_the_share_of_targets_that_are_the_likeliest_token(
    backend: Backend, model: sg.GPT, chunk: int, some_learned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of a chunk of logits: one row, some rows that do not divide the batch, or all."""
    monkeypatch.setattr("scratchgpt.evaluation.text_loss.MAX_LOGITS_AT_ONCE", chunk)
    params = model.init(seed=5, dtype="float64").map(lambda flat: flat * 8)
    rows = Windows(Part(TOKENS, np.array([61]), (np.arange(61) % 5 < 2) if some_learned else None), 8)
    n_targets = n_right = 0
    total = 0.0
    for i in range(len(rows)):
        x, y = rows.batch(np.array([i]))
        logits = sg.logits(model, params, x)
        for place, target in enumerate(y[0]):
            if target != IGNORE_INDEX:
                n_targets += 1
                n_right += int(np.argmax(logits[0, place]) == target)
                total += np.log(np.exp(logits[0, place]).sum()) - logits[0, place, target]
    mean_loss = total / n_targets
    for batch_size in (3, 50):
        found = text_loss(sg.BoundModel(model, params, backend), rows, batch_size=batch_size)
        assert found.accuracy == n_right / n_targets
        assert found.loss == pytest.approx(mean_loss, rel=1e-12)
    assert 0 < n_right < n_targets


def test_a_memorized_text_has_accuracy_1(backend: Backend) -> None:
    """A head that scores the token after this one highest, and a text that counts."""
    model = sg.GPT(sg.GPTConfig(8, 8, n_layer=1, n_head=1, n_embd=8, tie_weights=False))
    params = model.init(seed=0, dtype="float64").map(lambda flat: flat * 0)
    params["wte.weight"][...], params["ln_f.weight"][...] = np.eye(8), 1
    params["lm_head.weight"][...] = np.roll(np.eye(8), 1, axis=0)
    rows = Windows(Part.of(np.arange(20) % 8), 8)
    assert text_loss(sg.BoundModel(model, params, backend), rows, batch_size=2).accuracy == 1.0
    backwards = Windows(Part.of(-np.arange(20) % 8), 8)
    assert text_loss(sg.BoundModel(model, params, backend), backwards, batch_size=2).accuracy == 0.0
