"""A batch in parts, one after the other: the loss and the gradient of the whole batch."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.backends.numpy import workers
from scratchgpt.gradcheck.model_cases import CONFIGS, awkward_params
from scratchgpt.nn import bound_model, passes
from scratchgpt.nn.accumulation import cut_batch
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import RowStreams, step_rng
from tests.gradcheck.test_faults import patched_module
from tests.support import gpu

MODEL = sg.GPT(CONFIGS["dropout, narrow MLP"])
PARAMS = awkward_params(MODEL)
ROWS = 7  # which 2, 3 and 5 do not divide
TOKENS, TARGETS = np.random.default_rng(0).integers(0, MODEL.config.vocab_size, (2, ROWS, 6))
IGNORED = TARGETS.copy()
IGNORED[:3] = IGNORE_INDEX  # with 3 or 5 groups, the first has no target that counts
IGNORED[4, 1:] = IGNORE_INDEX
BACKENDS: dict[str, Callable[[], Backend]] = {
    "reference": lambda: sg.get_backend("reference"),
    "numpy": lambda: sg.get_backend("numpy", 2),
    "cupy": gpu.backend,
}


def assert_equal_to_one_batch(backend: Backend, targets: np.ndarray, accumulate: int) -> None:
    """Compare with the whole batch, in float64: same dropout masks, same loss, same gradient."""

    def run(accumulate: int) -> tuple[float, np.ndarray]:
        loss, grads = sg.loss_and_grads(
            MODEL, PARAMS, TOKENS, targets, backend=backend, rng=step_rng(1, 2), accumulate=accumulate
        )
        return loss, backend.to_host(grads.flat)

    loss, grads = run(accumulate)
    expected_loss, expected = run(1)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(grads, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("small", [0, 10**9], ids=["many micro-batches", "one a group"])
@pytest.mark.parametrize("accumulate", [1, 2, 3, 5, 7, 20])
@pytest.mark.parametrize("targets", [TARGETS, IGNORED], ids=["all count", "some ignored"])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_parts_add_up_to_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch, name: str, targets: np.ndarray, accumulate: int, small: int
) -> None:
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", small)
    assert_equal_to_one_batch(BACKENDS[name](), targets, accumulate)


MEAN_OF_MEANS = (
    "self.model.forward(ctx, x, y, n_targets)",
    "self.model.forward(ctx, x, y, len(micro_batches) * max(1, backend.count_targets(y)))",
)
SAME_MASKS = ("streams and streams[rows]", "streams and streams[: rows.stop - rows.start]")
GROUP_ONLY = ("slice(start + part.start, start + part.stop)", "slice(part.start, part.stop)")


@pytest.mark.parametrize("name", ["reference", "numpy"])
@pytest.mark.parametrize(
    ("module", "mistake"),
    [("nn.bound_model", MEAN_OF_MEANS), ("nn.bound_model", SAME_MASKS), ("nn.accumulation", GROUP_ONLY)],
    ids=["mean of means", "every group the masks of the first", "every group the rows of the first"],
)
def test_a_wrong_sum_is_caught(
    monkeypatch: pytest.MonkeyPatch, module: str, mistake: tuple[str, str], name: str
) -> None:
    wrong = patched_module(f"scratchgpt.{module}", *mistake)
    if module == "nn.bound_model":
        monkeypatch.setattr(passes, "BoundModel", wrong.BoundModel)
    else:
        monkeypatch.setattr(bound_model, "cut_batch", wrong.cut_batch)
    with pytest.raises(AssertionError):
        assert_equal_to_one_batch(sg.get_backend(name), IGNORED, 3)


@given(n_rows=st.integers(1, 40), n_time=st.integers(1, 2000), accumulate=st.integers(1, 50))
def test_every_row_has_one_place_and_groups_are_about_equal(
    n_rows: int, n_time: int, accumulate: int
) -> None:
    for name in ("reference", "numpy"):
        parts = cut_batch(n_rows, n_time, 10**6, sg.get_backend(name), accumulate)
        assert [row for part in parts for row in range(n_rows)[part]] == list(range(n_rows))
        assert len(parts) >= min(n_rows, accumulate)
        assert all(part.stop - part.start <= -(-n_rows // min(n_rows, accumulate)) for part in parts)


def test_no_two_groups_are_alive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group goes backward before the next one goes forward."""
    log: list[str] = []
    for half in ("forward", "backward"):
        real = getattr(sg.GPT, half)
        monkeypatch.setattr(sg.GPT, half, lambda *args, h=half, f=real: (log.append(h), f(*args))[1])
    backend = sg.get_backend("reference")
    sg.loss_and_grads(MODEL, PARAMS, TOKENS, TARGETS, backend=backend, accumulate=3)
    assert log == ["forward", "backward"] * 3


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)
    grads = [
        sg.loss_and_grads(
            MODEL, PARAMS, TOKENS, IGNORED, backend=sg.get_backend("numpy", threads), accumulate=3
        )[1].flat
        for threads in (1, 2, 4)
    ]
    np.testing.assert_array_equal(grads[0], grads[1])
    np.testing.assert_array_equal(grads[0], grads[2])


def test_recomputed_blocks_and_groups_together(backend: Backend) -> None:
    results = [
        sg.loss_and_grads(
            sg.GPT(MODEL.config, recompute=recompute), PARAMS, TOKENS, IGNORED,
            backend=backend, rng=step_rng(1, 2), accumulate=3,
        )
        for recompute in (False, True)
    ]  # fmt: skip
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1].flat, results[1][1].flat)


@pytest.mark.parametrize("accumulate", [0, -2])
def test_zero_groups_are_refused(accumulate: int) -> None:
    with pytest.raises(sg.InputError, match=f"accumulate is {accumulate}; expected at least 1"):
        sg.loss_and_grads(MODEL, PARAMS, TOKENS, TARGETS, accumulate=accumulate)


@pytest.mark.parametrize("precision", ["float32", "bf16", "float16"])
def test_cupy_a_graph_of_all_groups_repeats_the_eager_steps(precision: str) -> None:
    """Losses and norms of four steps on other batches: eager, replayed, and on the CPU in one piece."""
    noted = []
    for graph in (False, True):
        backend = gpu.backend(precision, graph)
        noted.append(losses_of_steps(backend, accumulate=3))
    assert noted[0] == noted[1]
    expected = losses_of_steps(sg.get_backend("numpy"), accumulate=1)
    tolerance = 1e-5 if precision == "float32" else 3e-2
    np.testing.assert_allclose(noted[0], expected, rtol=tolerance)


def losses_of_steps(backend: Backend, accumulate: int) -> list[tuple[float, float | None]]:
    """Return losses and gradient norms of passes that are sent to a device like training steps."""
    params = MODEL.init(1).map(backend.to_device)
    losses = backend.losses()

    def step(tokens: np.ndarray, targets: np.ndarray, streams: RowStreams) -> None:
        bound = sg.BoundModel(MODEL, params, backend)
        parts, grads = bound.run(tokens, targets, streams, with_grads=True, accumulate=accumulate)
        assert len(parts) == accumulate
        assert grads is not None
        losses.append(parts, backend.clip(grads.flat, 1.0))

    repeated = backend.capture_step(step)
    for i in range(4):
        streams = RowStreams.spawn(step_rng(3, i), ROWS)
        repeated(np.roll(TOKENS, i, axis=1), np.roll(IGNORED, i, axis=1), streams)
    return losses.read(4)
