"""The flat vector and its views."""

import numpy as np
import pytest

from scratchgpt.nn.params import Param, ParamVector

LAYOUT = [Param("b", (3,)), Param("w", (2, 3), std=0.5), Param("g", (3,), mean=1.0)]


def test_views_share_memory_with_flat() -> None:
    vector = ParamVector(LAYOUT, np.zeros(12))
    vector["w"][1, 2] = 7.0
    assert vector.flat.tolist().count(7.0) == 1
    vector.flat[...] = 2.0
    assert (vector["g"] == 2.0).all()


def test_matrices_come_first_and_are_what_decays() -> None:
    vector = ParamVector(LAYOUT, np.arange(12.0))
    assert [name for name, _ in vector.items()] == ["w", "b", "g"]
    assert vector.decaying.base is vector.flat
    np.testing.assert_array_equal(vector.decaying, vector["w"].reshape(-1))


def test_adding_in_place_is_allowed_and_rebinding_raises() -> None:
    vector = ParamVector(LAYOUT, np.zeros(12))
    vector["b"] += np.ones(3)
    vector[LAYOUT[0]] += 1.0
    np.testing.assert_array_equal(vector["b"], 2.0)
    with pytest.raises(TypeError, match="cannot rebind 'b'"):
        vector["b"] = np.ones(3)


def test_initial_values_follow_the_handles() -> None:
    big = [Param("w", (200, 100), std=0.02), Param("g", (5,), mean=1.0), Param("b", (5,))]
    vector = ParamVector.initial(big, seed=3)
    assert vector.flat.dtype == np.float32
    assert vector["w"].std() == pytest.approx(0.02, rel=0.02)
    assert vector["w"].mean() == pytest.approx(0.0, abs=0.001)
    np.testing.assert_array_equal(vector["g"], 1.0)
    np.testing.assert_array_equal(vector["b"], 0.0)


def test_a_seed_gives_the_same_values_for_every_dtype() -> None:
    single, double = (ParamVector.initial(LAYOUT, seed=5, dtype=dtype) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(single.flat, double.flat.astype(np.float32))
    assert (ParamVector.initial(LAYOUT, seed=6)["w"] != single["w"]).all()


def test_copies_and_zeros_have_their_own_memory() -> None:
    vector = ParamVector.initial(LAYOUT, seed=5)
    copy, zeros = vector.copy(), vector.zeros_like()
    copy["w"][...] = 9.0
    assert not (vector["w"] == 9.0).any()
    assert not zeros.flat.any()
    assert zeros.flat.dtype == vector.flat.dtype


def test_a_flat_of_the_wrong_size_and_equal_names_are_refused() -> None:
    with pytest.raises(ValueError, match="needs \\(12,\\)"):
        ParamVector(LAYOUT, np.zeros(11))
    with pytest.raises(ValueError, match="two parameters are called 'b'"):
        ParamVector([LAYOUT[0], LAYOUT[0]], np.zeros(6))
    with pytest.raises(KeyError):
        ParamVector(LAYOUT, np.zeros(12))["nothing"]
