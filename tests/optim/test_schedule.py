"""Learning rate schedules: first, peak and last values, and that they rise to the peak and then only fall."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.optim import SCHEDULES, learning_rate

FALLING = sorted(set(SCHEDULES) - {"constant"})


def rate(kind: str, step: int, warmup_steps: int = 4) -> float:
    return learning_rate(kind, step, peak=1.0, floor=0.1, warmup_steps=warmup_steps, max_steps=14)


@pytest.mark.parametrize("kind", sorted(SCHEDULES))
def test_every_schedule_warms_up_and_reaches_its_peak(kind: str) -> None:
    assert [rate(kind, step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate(kind, 0, warmup_steps=0) == 1.0


@pytest.mark.parametrize("kind", FALLING)
def test_every_falling_schedule_ends_on_its_floor(kind: str) -> None:
    assert rate(kind, 13) > 0.1
    assert [rate(kind, step) for step in (14, 15, 1000)] == [0.1] * 3


def test_the_decay_of_each_schedule() -> None:
    steps = range(4, 15)
    assert [rate("constant", step) for step in (*steps, 1000)] == [1.0] * 12
    lines = {
        "linear": [1.0 - 0.09 * i for i in range(11)],
        "wsd": [*[1.0] * 9, 0.55, 0.1],  # a fifth of ten steps
    }
    for kind, expected in lines.items():
        assert [rate(kind, step) for step in steps] == pytest.approx(expected)
    assert rate("cosine", 9) == pytest.approx(0.55)  # halfway
    assert rate("cosine", 6) > rate("linear", 6)
    assert rate("cosine", 12) < rate("linear", 12)


def test_a_schedule_that_is_only_warmup() -> None:
    for kind in SCHEDULES:
        assert rate(kind, 13, warmup_steps=14) == 1.0
        assert rate(kind, 14, warmup_steps=14) == (1.0 if kind == "constant" else 0.1)
        assert rate(kind, 14, warmup_steps=28) == 15 / 28  # longer than the run


@given(
    kind=st.sampled_from(sorted(SCHEDULES)),
    peak=st.floats(1e-6, 1.0),
    share=st.floats(0.0, 1.0),
    warmup_steps=st.integers(0, 30),
    more_steps=st.integers(1, 60),
)
def test_a_rate_rises_to_the_peak_and_then_never_rises_again(
    kind: str, peak: float, share: float, warmup_steps: int, more_steps: int
) -> None:
    floor, max_steps = share * peak, warmup_steps + more_steps
    settings = {"peak": peak, "floor": floor, "warmup_steps": warmup_steps, "max_steps": max_steps}
    rates = [learning_rate(kind, step, **settings) for step in range(max_steps + 5)]
    up, down = rates[:warmup_steps], rates[warmup_steps:]
    rounding = 1e-12 * peak
    assert up == sorted(up)
    assert all(later <= earlier + rounding for earlier, later in itertools.pairwise(down))
    assert max(rates) == pytest.approx(peak)
    assert min(down) >= floor - rounding
    assert all(rate > 0.0 for rate in up)


@given(step=st.integers(0, 100), warmup_steps=st.integers(0, 50), max_steps=st.integers(1, 100))
def test_cosine_with_warmup_is_the_cosine(step: int, warmup_steps: int, max_steps: int) -> None:
    settings = {"peak": 3e-3, "floor": 1e-4, "warmup_steps": warmup_steps, "max_steps": max_steps}
    assert sg.cosine_with_warmup(step, **settings) == learning_rate("cosine", step, **settings)


def test_an_unknown_schedule_is_named() -> None:
    with pytest.raises(
        sg.InputError, match="schedule is 'cosin'; expected one of constant, linear, cosine, wsd"
    ):
        rate("cosin", 0)
