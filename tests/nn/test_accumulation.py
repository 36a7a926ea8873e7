"""Gradients of micro-batches: added in their order, whoever comes first."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.nn.accumulation import GradientAccumulator
from scratchgpt.nn.params import Param
from scratchgpt.ops.row_gradient import RowGradient

MATRIX, VECTOR = Param("matrix", (3, 4)), Param("vector", (5,))
PARAMS = sg.ParamVector([MATRIX, VECTOR], np.ones(17, np.float32))


def terms(n: int) -> list[np.ndarray]:
    """Return gradients of very different sizes, so that the order of the sum shows in its bits."""
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((3, 4)) * 10.0 ** (3 * i)).astype(np.float32) for i in range(n)]


def in_order(gradients: list[np.ndarray]) -> np.ndarray:
    total = gradients[0].copy()
    for gradient in gradients[1:]:
        total += gradient
    return total


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_arrival_changes_no_bit(order: tuple[int, ...]) -> None:
    accumulator = GradientAccumulator(PARAMS, 4)
    gradients = terms(4)
    for index in order:
        accumulator.micro_batch(index).add(MATRIX, gradients[index])
    np.testing.assert_array_equal(accumulator.total()["matrix"], in_order(gradients))


def test_second_uses_in_a_group_come_after_both_first_uses() -> None:
    accumulator = GradientAccumulator(PARAMS, 3, {"matrix": 2})
    first, second = terms(3), [100 * gradient for gradient in terms(3)]
    expected = in_order([first[0], first[1], second[0], second[1], first[2], second[2]])
    parts = [accumulator.micro_batch(index) for index in range(3)]
    parts[1].add(MATRIX, first[1])
    parts[1].add(MATRIX, second[1])
    for index in (2, 0):
        parts[index].add(MATRIX, first[index])
        parts[index].add(MATRIX, second[index])
    np.testing.assert_array_equal(accumulator.total()["matrix"], expected)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_row_gradients_are_terms_like_others(order: tuple[int, ...]) -> None:
    accumulator = GradientAccumulator(PARAMS, 3)
    rows, dense = [np.array([0, 2]), np.array([2])], terms(3)
    sparse = RowGradient(rows[0], dense[0][rows[0]]), dense[1], RowGradient(rows[1], dense[2][rows[1]])
    expected = np.zeros((3, 4), np.float32)
    expected[rows[0]] = dense[0][rows[0]]
    expected += dense[1]
    expected[rows[1]] += dense[2][rows[1]]
    for index in order:
        accumulator.micro_batch(index).add(MATRIX, sparse[index])
    np.testing.assert_array_equal(accumulator.total()["matrix"], expected)


def test_a_row_gradient_is_added_to_its_rows() -> None:
    grads = PARAMS.copy()
    grads.add(MATRIX, RowGradient(np.array([2]), np.full((1, 4), 5, np.float32)))
    np.testing.assert_array_equal(grads["matrix"], [[1] * 4, [1] * 4, [6] * 4])


def test_many_threads_lose_no_term() -> None:
    gradients = terms(3) * 20
    expected = in_order(gradients)
    for _ in range(20):
        accumulator = GradientAccumulator(PARAMS, 60)

        def work(index: int, accumulator: GradientAccumulator = accumulator) -> None:
            part = accumulator.micro_batch(index)
            part.add(VECTOR, np.full(5, index, np.float32))
            part.add(MATRIX, gradients[index])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(len(gradients))))
        total = accumulator.total()
        np.testing.assert_array_equal(total["matrix"], expected)
        np.testing.assert_array_equal(total["vector"], np.full(5, sum(range(60)), np.float32))
