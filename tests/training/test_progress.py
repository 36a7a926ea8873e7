"""The progress of a training run: a live display on a terminal, plain lines elsewhere."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from scratchgpt.training.progress import TrainingProgress, sparkline
from scratchgpt.utils.terminal import printable

BLOCKS = "▁▂▃▄▅▆▇█"


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr("scratchgpt.training.progress.time.perf_counter", made)
    yield made


def terminal(width: int = 100, height: int = 25) -> Console:
    """Return a console with train.py's options that takes itself for a terminal."""
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, soft_wrap=True,
        highlight=False, markup=False, emoji=False, color_system=None, _environ={"TERM": "xterm"},
    )  # fmt: skip


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines_of(progress: TrainingProgress) -> list[str]:
    return progress._display().plain.split("\n")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_a_sparkline_keeps_the_order_of_its_values(values: list[float]) -> None:
    line = sparkline(values, BLOCKS)
    heights = [BLOCKS.index(block) for block in line]
    assert len(line) == len(values)
    assert all((values[i] <= values[i - 1]) <= (heights[i] <= heights[i - 1]) for i in range(1, len(values)))
    if max(values) > min(values):
        assert (line[values.index(min(values))], line[values.index(max(values))]) == ("▁", "█")


def test_sparklines_of_no_values_and_of_equal_values() -> None:
    assert sparkline([], BLOCKS) == ""
    assert sparkline([2.5, 2.5], BLOCKS) == "▁▁"


def test_the_display_shows_step_loss_pace_evaluation_and_sample(clock: Clock) -> None:
    progress = TrainingProgress(terminal(), max_steps=1000)
    with progress:
        for _ in range(100):
            progress.step_begins()
            clock.now += 0.5
            progress.step_ends(600)
        for loss in (4.0, 3.0, 2.0):
            progress.show(100, loss, 1e-3)
        progress.show_evaluation(50, 2.0, 1.75, "validation", True)
        progress.show_evaluation(100, 2.0, 1.8, "validation", False)
        progress.show_sample("The fox\nsaw a crow")
        text = progress._display().plain
    assert "100 of 1,000" in text
    assert "0:07:30 left" in text  # 900 steps at 0.5 s
    assert "█▅▁ 2.0000" in text
    assert "learning rate 1.0e-03, 1,200 tokens/s" in text
    assert "validation 1.8000 at step 100, best 1.7500 at step 50" in text
    assert "sample      The fox\n            saw a crow" in text
    n_cells = text.count("━")
    assert n_cells and len(text.splitlines()[0]) == 80


def test_the_time_left_of_a_resumed_run_is_estimated_from_its_new_steps(clock: Clock) -> None:
    with TrainingProgress(terminal(), max_steps=1000, start=900, seconds_before=500.0) as progress:
        progress.step_begins()
        clock.now += 10.0
        progress.step_ends(50)
        progress.show(950, 1.0, 1e-3)
        assert "0:00:10 left" in lines_of(progress)[0]
        progress.ideal_seconds = 0.1
        assert progress.pace == {"tokens_per_second": 5.0, "matrix_share": 0.5, "seconds": 510.0}


def test_it_draws_at_most_four_times_a_second_and_without_a_thread(clock: Clock) -> None:
    console = terminal()
    with TrainingProgress(console, max_steps=1000) as progress:
        assert progress._live is not None and progress._live._refresh_thread is None
        before = written(console)
        clock.now += 0.2
        progress.show(10, 1.0, 1e-3)
        assert written(console) == before
        clock.now += 0.1
        progress.show(20, 1.0, 1e-3)
        assert "20 of 1,000" in written(console).removeprefix(before)


@example(12, "0")  # no room next to the labels
@given(st.integers(1, 120), st.text(max_size=400))
def test_no_line_is_wider_than_the_terminal_and_a_sample_has_no_control_characters(
    width: int, text: str
) -> None:
    progress = TrainingProgress(terminal(width), max_steps=10**6)
    progress.show(123_456, 1.0, 1e-3)
    progress.show_evaluation(123_000, 1.0, 1.0, "whole-text", True)
    progress.show_sample(text)
    lines = lines_of(progress)
    assert all(cell_len(line) <= min(width, 80) for line in lines)
    assert len(lines) <= 4 + 3
    assert all(c.isprintable() for line in lines for c in line)


def test_control_characters_are_not_printable() -> None:
    assert printable("a\x1b[2Jb\nc\td\u202e\x07") == "a [2Jb\nc d  "


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, ValueError])
def test_the_terminal_is_restored_however_training_ends(end: type[BaseException] | None) -> None:
    console = terminal()
    try:
        with TrainingProgress(console, max_steps=10) as progress:
            hidden, shown = (written(console).rfind(code) for code in ("\x1b[?25l", "\x1b[?25h"))
            assert hidden < shown  # a process that is killed now leaves a cursor
            progress.show(1, 1.0, 1e-3)
            if end:
                raise end
    except (KeyboardInterrupt, ValueError):
        pass
    out = written(console)
    assert out.rfind("\x1b[?25l") < out.rfind("\x1b[?25h")
    assert out.endswith("\x1b[2K")  # the display is gone: its lines are erased
    assert console._live_stack == []


def test_a_display_higher_than_the_terminal_is_cut() -> None:
    console = terminal(height=3)
    with TrainingProgress(console, max_steps=10) as progress:
        progress.show_sample("a\nb\nc")
        progress.show_evaluation(1, 1.0, 1.0, "validation", True)
    last = written(console).split("best\n")[1].split("\x1b")[0]
    assert last.count("\n") <= 2


def test_a_terminal_without_unicode_gets_plain_characters() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")  # strict: a block would raise
    console = Console(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    with TrainingProgress(console, max_steps=10) as progress:
        progress.show(5, 1.0, 1e-3)
        progress.show(6, 2.0, 1e-3)
        progress.show_evaluation(6, 1.0, 1.0, "validation", True)
    file.flush()


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}])
def test_without_a_terminal_each_evaluation_prints_one_line_and_nothing_else(
    environment: dict[str, str], clock: Clock
) -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=bool(environment), _environ=environment)
    with TrainingProgress(console, max_steps=200) as progress:
        for step in (50, 100):
            progress.step_begins()
            clock.now += 2.0
            progress.step_ends(100)
            progress.show(step, 2.5, 1e-3)
            progress.show_sample("not here")
            progress.show_evaluation(step, 2.5, 2.25, "validation", step == 50)
    assert file.getvalue() == (
        "step     50  training loss 2.5000  validation loss 2.2500  50 tokens/s  best\n"
        "step    100  training loss 2.5000  validation loss 2.2500  50 tokens/s\n"
    )
    assert progress.pace == {"tokens_per_second": 50.0, "matrix_share": 0.0, "seconds": 4.0}
