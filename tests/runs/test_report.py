"""report.html: complete, self-contained, and safe to open whatever the model wrote."""

import math
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Curve
from scratchgpt.runs.report import flat, write_report
from scratchgpt.runs.svg_chart import Level, Line, chart

SETTINGS = """
data: tales.txt
out: runs/tales
threads: null
training: {max_steps: 100, batch_size: 4, learning_rate: 0.001}
generation: {prompt: "<b>once & for all"}
"""
CONFIG = '{"vocab_size": 65, "block_size": 16, "n_layer": 2}'
VOID = {"meta", "path", "circle", "i"}  # in our page these hold nothing; <i></i> is closed at once


class Page(HTMLParser):
    """A page as a browser reads it: its elements, its texts, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "tales"
    folder.mkdir()
    (folder / "run.yaml").write_text(SETTINGS, encoding="utf-8")
    (folder / "config.json").write_text(CONFIG, encoding="utf-8")
    return folder


def records(n_steps: int = 100, **evaluation: Any) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [
        {"step": step, "loss": 1 + 3 / step, "lr": 1e-3, "grad_norm": None if step == 7 else 1 / step}
        for step in range(1, n_steps + 1)
    ]
    return [*steps, {"step": n_steps, "val_loss": 1.25, "tokens_per_second": 1000.0, **evaluation}]


def report(folder: Path, *args: Any, **kwargs: Any) -> tuple[str, Page]:
    write_report(folder, *args, **kwargs)
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    return text, page


def test_a_page_has_everything_that_was_recorded(run: Path) -> None:
    everything = records(seconds=61.0, perplexity=3.49, bits_per_byte=1.8, accuracy=0.5)
    layers = {"h.0": 1e-3, "h.1": 2e-3}
    everything += [{"step": 100, "update_ratio": layers}]
    everything += [{"step": 50, "sample": "the first"}, {"step": 100, "sample": "the second"}]
    text, page = report(run, everything, "804,096 parameters\nbackend numpy", "held-out", floor=1.1)
    assert page.count("svg") == 5  # loss, learning rate, accuracy, norm, update ratio
    words = " ".join(page.texts)
    for expected in (
        "tales", "804,096 parameters", "backend numpy", "step 100 of 100, 6,400 tokens seen, 61 s of",
        "entropy of the source, 1.1", "uniform guess, ln 65, 4.174", "held-out loss, nats per token", "1.25",
        "perplexity", "3.49", "bits per byte", "1.8", "accuracy", "h.0", "h.1", "training.learning_rate",
        "0.001", "model.n_layer", "threads", "null",
    ):  # fmt: skip
        assert expected in words, expected
    assert text.index("the second") < text.index("the first")  # the newest first


def test_a_page_of_an_older_run_leaves_out_what_is_missing(run: Path) -> None:
    text, page = report(run, [{"step": 1, "loss": 2.0}, {"step": 1, "val_loss": 2.5}], "about", "whole-text")
    assert page.count("svg") == 1
    assert "Samples" not in text and "perplexity" not in text and "s of training" not in text


def test_steps_that_were_skipped_are_counted(run: Path) -> None:
    skipped = [{"step": step, "lr": 1e-3, "skipped": step, "why": "the loss is nan"} for step in (1, 2)]
    text, _ = report(run, [*skipped, {"step": 3, "loss": 2.0}], "", "held-out")
    assert "step 3 of 100, 192 tokens seen, 2 steps skipped" in text


def test_a_page_before_anything_is_recorded(run: Path) -> None:
    _, page = report(run, [], "about", "held-out")
    assert page.count("svg") == 0
    assert "step 0 of 100" in " ".join(page.texts)


@given(st.text())
def test_no_text_of_a_user_becomes_markup(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    hostile = f"</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>{text}"
    folder = tmp_path_factory.mktemp("x") / "a<i>b&c"
    folder.mkdir()
    (folder / "run.yaml").write_text(SETTINGS, encoding="utf-8")
    (folder / "config.json").write_text(CONFIG, encoding="utf-8")
    sample = {"step": 100, "sample": hostile, "update_ratio": {hostile: 1.0, "b": 2.0}}
    _, page = report(folder, [*records(), sample], hostile, hostile)
    _, plain = report(
        folder, [*records(), {**sample, "sample": "", "update_ratio": {"a": 1.0, "b": 2.0}}], "", ""
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert any("<script>alert(1)</script>" in said for said in page.texts)  # shown, not obeyed


def test_half_of_a_surrogate_pair_is_no_error(run: Path) -> None:
    report(run, [{"step": 1, "sample": "a\ud800b"}], "about", "held-out")


def test_a_page_needs_no_network_and_no_script(run: Path) -> None:
    text, page = report(run, [*records(), {"step": 100, "sample": "x"}], "about", "held-out")
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not {"src", "href"} & {name for _, attributes in page.tags for name in attributes}
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_a_page_reloads_itself_until_training_has_ended(run: Path) -> None:
    assert 'http-equiv="refresh"' in report(run, records(50), "", "held-out")[0]
    assert 'http-equiv="refresh"' not in report(run, records(100), "", "held-out")[0]


def test_many_samples_are_thinned_out_and_that_is_said(run: Path) -> None:
    samples = [{"step": step, "sample": f"[{step}]"} for step in range(1, 101)]
    text, page = report(run, samples, "", "held-out")
    assert "Samples, 12 of 100" in text
    assert page.count("details") == 12
    assert "[1]" in text and "[100]" in text


def test_a_long_run_makes_no_long_page(run: Path) -> None:
    sizes = []
    for n_steps in (2_000, 20_000):
        write_report(run, records(n_steps), "", "held-out")
        sizes.append((run / "report.html").stat().st_size)
    assert sizes[1] < 1.5 * sizes[0]


def test_settings_that_cannot_be_read_are_named_and_the_old_page_stays(run: Path) -> None:
    write_report(run, records(), "", "held-out")
    before = (run / "report.html").read_bytes()
    (run / "run.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"run.yaml is not valid YAML"):
        write_report(run, records(), "", "held-out")
    assert (run / "report.html").read_bytes() == before


def test_settings_in_words_of_yaml() -> None:
    settings: Mapping[str, Any] = {"a": {"b": None, "c": {"d": True}}, "e": "null", "f": [1, "x"], "g": 0.1}
    assert flat(settings) == {"a.b": "null", "a.c.d": "true", "e": "null", "f": '[1, "x"]', "g": "0.1"}


def curve_of(*values: float) -> Curve:
    return Curve(np.arange(1, len(values) + 1), np.array(values))


def points(drawing: str) -> list[tuple[float, float]]:
    path = re.search(r'<path class=line [^>]*d="M([^"]*)"', drawing)
    assert path
    pairs = (point.split() for point in path[1].split("L"))
    return [(float(x), float(y)) for x, y in pairs]


def test_a_point_stands_where_its_numbers_say() -> None:
    drawing = chart("t", [Line("l", curve_of(3.0, 2.0, 1.0), "red")], width=480, height=240)
    (x1, y1), (x2, y2), (x3, y3) = points(drawing)
    assert (y1, y3) == (10.0, 240 - 34)  # the largest at the top, the least at the bottom
    assert y2 == pytest.approx((y1 + y3) / 2, abs=0.1)
    assert x3 == 480 - 28 and x2 - x1 == pytest.approx(x3 - x2, abs=0.1)


def test_an_axis_is_logarithmic_only_where_it_may_and_must_be() -> None:
    curve = curve_of(100.0, 10.0, 1.0)
    for may_be_log, middle in ((True, (10 + 206) / 2), (False, 10 + 196 * 90 / 99)):
        drawing = chart("t", [Line("l", curve, "red")], width=480, height=240, may_be_log=may_be_log)
        assert points(drawing)[1][1] == pytest.approx(middle, abs=0.1)


def test_a_level_far_away_does_not_squash_the_lines() -> None:
    lines = [Line("l", curve_of(1.0, 1.1), "red")]
    falling = [Line("l", curve_of(100.0, 1.0), "red")]
    for drawn, value, expected in ((lines, 1.2, 1), (lines, 50.0, 0), (falling, 0.5, 1), (falling, -0.5, 0)):
        drawing = chart("t", drawn, [Level("v", value, "blue")], width=480, height=240)
        assert drawing.count("class=level") == expected


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40), st.booleans())
def test_every_coordinate_is_a_number_in_the_drawing(values: list[float], band: bool) -> None:
    drawing = chart("t", [Line("l", curve_of(*values), "red", band=band)], width=480, height=240)
    numbers = [
        float(n) for d in re.findall(r' d="([^"]*)"', drawing) for n in re.findall(r"-?[\d.e+]+|nan|inf", d)
    ]
    assert all(math.isfinite(n) and -0.1 <= n <= 480.1 for n in numbers)


def test_no_points_no_chart() -> None:
    assert chart("t", [Line("l", curve_of(), "red")], width=480, height=240) == ""
