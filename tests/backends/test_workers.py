"""Micro-batches on several threads: every row once, results in order, and no effect on the numbers."""

import multiprocessing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends.numpy import workers
from scratchgpt.backends.numpy.workers import MIN_WORK_FOR_THREADS, Workers, micro_batches
from scratchgpt.gradcheck.model_cases import CONFIGS, awkward_params
from scratchgpt.gradcheck.op_cases import TARGETS, TOKENS
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import RowStreams, step_rng
from scratchgpt.utils.cores import usable_cores


@given(n_rows=st.integers(1, 100), n_time=st.integers(1, 2000), n_params=st.sampled_from([1, 800_000, 10**8]))
def test_every_row_is_in_exactly_one_micro_batch(n_rows: int, n_time: int, n_params: int) -> None:
    parts = micro_batches(n_rows, n_time, n_params)
    assert [row for part in parts for row in range(n_rows)[part]] == list(range(n_rows))
    if n_rows * n_time * n_params < MIN_WORK_FOR_THREADS:
        assert len(parts) == 1
        return
    assert len(parts) >= min(n_rows, 2)
    sizes = [part.stop - part.start for part in parts]
    assert 1 <= min(sizes) <= max(sizes) <= min(sizes) + 1
    assert min(sizes) == 1 or min(sizes) * n_time <= workers.TOKENS_PER_MICRO_BATCH


@pytest.mark.parametrize("threads", [1, 3])
def test_workers_keep_the_order_and_reraise_exceptions(threads: int) -> None:
    workers = Workers(threads)
    assert workers.map(lambda i: i * i, range(20)) == [i * i for i in range(20)]
    with pytest.raises(ZeroDivisionError):
        workers.map(lambda i: 1 // i, [1, 0])


def test_calls_of_map_can_be_nested() -> None:
    workers = Workers(2)
    table = workers.map(lambda i: workers.map(lambda j: i * j, range(5)), range(6))
    assert table == [[i * j for j in range(5)] for i in range(6)]


def test_no_item_is_started_after_an_exception() -> None:
    started = []

    def fail(i: int) -> None:
        started.append(i)
        raise RuntimeError(f"item {i}")

    with pytest.raises(RuntimeError, match="item"):
        Workers(3).map(fail, range(1000))
    assert len(started) <= 3


def test_at_least_one_core_is_usable() -> None:
    assert usable_cores() >= 1
    assert sg.get_backend("numpy").threads == usable_cores()


def curve(threads: int, dtype: str = "float32") -> tuple[list[float], np.ndarray]:
    config = sg.GPTConfig(65, 32, n_layer=2, n_head=2, n_embd=32, dropout=0.1)
    model = sg.GPT(config)
    params = model.init(dtype=dtype)
    optimizer = sg.AdamW(params, lr=1e-2)
    backend = sg.get_backend("numpy", threads=threads)
    tokens = np.random.default_rng(0).integers(0, 65, (7, 33))
    losses = []
    for step in range(5):
        loss, grads = sg.loss_and_grads(
            model, params, tokens[:, :-1], tokens[:, 1:], backend=backend, rng=step_rng(0, step)
        )
        sg.clip_grad_norm(grads, 1.0)
        optimizer.step(grads)
        losses.append(loss)
    return losses, params.flat


def test_weights_are_bit_identical_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)
    monkeypatch.setattr(workers, "TOKENS_PER_MICRO_BATCH", 32)  # one micro-batch per row
    losses, weights = curve(1)
    for threads in (2, 4):
        more_losses, more_weights = curve(threads)
        assert more_losses == losses
        np.testing.assert_array_equal(more_weights, weights)


def test_micro_batches_agree_with_the_whole_batch_even_where_targets_are_ignored_unevenly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "MIN_WORK_FOR_THREADS", 0)
    model = sg.GPT(CONFIGS["dropout, narrow MLP"])
    params = awkward_params(model)
    targets = TARGETS.copy()
    targets[0] = IGNORE_INDEX  # the first row, and so the first micro-batch, has no target
    targets[1, :3] = IGNORE_INDEX
    results = [
        sg.loss_and_grads(model, params, TOKENS, targets, backend=sg.get_backend(name), rng=step_rng(1, 1))
        for name in ("reference", "numpy")
    ]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    np.testing.assert_allclose(results[0][1].flat, results[1][1].flat, rtol=1e-8, atol=1e-12)


def test_a_row_stream_does_not_depend_on_the_other_rows() -> None:
    whole = RowStreams.spawn(step_rng(3, 4), 5)
    first = whole.random((5, 2, 3), np.float32)
    parts = RowStreams.spawn(step_rng(3, 4), 5)
    np.testing.assert_array_equal(parts[0:2].random((2, 2, 3), np.float32), first[0:2])
    np.testing.assert_array_equal(parts[2:5].random((3, 2, 3), np.float32), first[2:5])
    assert len(np.unique(first)) == first.size


def _twice_in_a_child(queue: "multiprocessing.Queue[list[int]]") -> None:
    queue.put(FORKED.map(lambda i: 2 * i, range(4)))


FORKED = Workers(2)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python >= 3.12: fork with threads
def test_a_forked_process_starts_its_own_threads() -> None:
    assert FORKED.map(lambda i: i, range(4)) == [0, 1, 2, 3]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_twice_in_a_child, args=(queue,))
    child.start()
    assert queue.get(timeout=20) == [0, 2, 4, 6]
    child.join(20)


def test_equal_arguments_return_the_same_backend() -> None:
    assert sg.get_backend("numpy", 2) is sg.get_backend("numpy", 2)
