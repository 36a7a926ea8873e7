"""report.html: complete, self-contained, and safe to open whatever the model wrote."""

import html
import math
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
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


class Chart:
    """What a figure of the page shows: its title, its legend and the shapes drawn."""

    def __init__(self, figure: str) -> None:
        self.title = re.findall(r"<figcaption>(.*?)</figcaption>", figure)[0]
        self.legend = re.findall(r"</i>(.*?)</span>", figure)
        self.numbers = re.findall(r"<text [^>]*>(.*?)</text>", figure)
        self.n_lines, self.n_bands, self.n_levels, self.n_dots = (
            figure.count(shape) for shape in ("class=line", "class=band", "class=level", "<circle")
        )


def charts(text: str) -> dict[str, Chart]:
    """Return the charts of a page by title, in their order."""
    found = [Chart(figure) for figure in re.findall(r"<figure>(.*?)</figure>", text, re.DOTALL)]
    return {chart.title: chart for chart in found}


def rows(text: str) -> list[list[str]]:
    """Return the cells of all tables of a page."""
    return [
        [html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    ]


def test_a_page_has_everything_that_was_recorded(run: Path) -> None:
    everything = records(seconds=61.0, perplexity=3.49, bits_per_byte=1.8, accuracy=0.5)
    layers = {"h.0": 1e-3, "h.1": 2e-3}
    everything += [{"step": 100, "update_ratio": layers}]
    everything += [{"step": 50, "sample": "the first"}, {"step": 100, "sample": "the second"}]
    text, page = report(run, everything, "804,096 parameters\nbackend numpy", "validation", floor=1.1)
    assert "<h1>tales</h1>" in text
    progress = "step 100 of 100, 6,400 tokens seen, 61 s of training"
    assert f"804,096 parameters\nbackend numpy\n{progress}" in page.texts

    drawn = charts(text)
    assert list(drawn) == [
        "loss, nats per token",
        "learning rate",
        "accuracy",
        "norm of the gradient, before clipping",
        "size of an update relative to the weights",
    ]
    loss, rate, accuracy, norm, updates = drawn.values()
    assert loss.legend == [
        "training, every step",
        "training, mean",
        "validation",
        "entropy of the source, 1.1",
        "uniform guess, ln 65, 4.174",
    ]
    assert (loss.n_bands, loss.n_lines, loss.n_levels, loss.n_dots) == (1, 2, 2, 1)
    assert {"20", "100", "step"} <= set(loss.numbers)
    assert (rate.legend, rate.n_lines) == ([], 1)
    assert (accuracy.legend, accuracy.n_lines, accuracy.n_dots) == ([], 1, 1)
    assert (norm.legend, norm.n_bands, norm.n_lines) == (["norm, every step", "norm, mean"], 1, 1)
    assert (updates.legend, updates.n_lines) == (["h.0", "h.1"], 2)

    cells = rows(text)
    for row in (
        ["", "last", "best", "at step"],
        ["validation loss, nats per token", "1.25", "1.25", "100"],
        ["perplexity", "3.49", "3.49", "100"],
        ["bits per byte", "1.8", "1.8", "100"],
        ["training tokens per second", "1,000", "1,000", "100"],
        ["training.learning_rate", "0.001"],
        ["generation.prompt", "<b>once & for all"],
        ["model.n_layer", "2"],
        ["threads", "null"],
    ):
        assert row in cells, row
    samples = re.findall(r"<details( open)?><summary>(.*?)</summary><pre dir=auto>(.*?)</pre>", text)
    assert samples == [(" open", "step 100", "the second"), ("", "step 50", "the first")]


def test_the_table_has_the_last_and_the_best_value(run: Path) -> None:
    losses = [{"step": step, "val_loss": loss, "accuracy": loss / 4} for step, loss in ((1, 3.0), (2, 1.5))]
    text, _ = report(run, [*losses, {"step": 3, "val_loss": 2.0, "accuracy": 0.5}], "", "whole-text")
    assert ["whole-text loss, nats per token", "2", "1.5", "2"] in rows(text)  # the lowest
    assert ["accuracy", "0.5", "0.75", "1"] in rows(text)  # the highest


def test_a_page_of_an_older_run_leaves_out_what_is_missing(run: Path) -> None:
    text, page = report(run, [{"step": 1, "loss": 2.0}, {"step": 1, "val_loss": 2.5}], "about", "whole-text")
    assert list(charts(text)) == ["loss, nats per token"]
    assert charts(text)["loss, nats per token"].legend[:3] == [
        "training, every step",
        "training, mean",
        "whole-text",
    ]
    assert ["whole-text loss, nats per token", "2.5", "2.5", "1"] in rows(text)
    assert page.count("details") == 0
    assert "Samples" not in text and "perplexity" not in text and "s of training" not in text


def test_steps_that_were_skipped_are_counted(run: Path) -> None:
    skipped = [{"step": step, "lr": 1e-3, "skipped": step, "why": "the loss is nan"} for step in (1, 2)]
    text, _ = report(run, [*skipped, {"step": 3, "loss": 2.0}], "", "validation")
    assert "step 3 of 100, 192 tokens seen, 2 steps skipped" in text


def test_a_page_before_anything_is_recorded(run: Path) -> None:
    text, page = report(run, [], "about", "validation")
    assert page.count("svg") == page.count("details") == 0
    assert "about\nstep 0 of 100" in page.texts
    assert ["data", "tales.txt"] in rows(text)


def check_that_text_stays_text(folder: Path, text: str) -> None:
    """Put a text in every place of a page that users fill, and compare its elements with a plain page's."""
    hostile = f"</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>{text}"
    folder = folder / "a<i>b&c"
    folder.mkdir(exist_ok=True)
    (folder / "run.yaml").write_text(SETTINGS, encoding="utf-8")
    (folder / "config.json").write_text(CONFIG, encoding="utf-8")
    sample = {"step": 100, "sample": hostile, "update_ratio": {hostile: 1.0, "b": 2.0}}
    source, page = report(folder, [*records(3), sample], hostile, hostile)
    plain_sample = {**sample, "sample": "", "update_ratio": {"a": 1.0, "b": 2.0}}
    _, plain = report(folder, [*records(3), plain_sample], "", "")
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert "<h1>a&lt;i&gt;b&amp;c</h1>" in source
    shown = [said for said in page.texts if "<script>alert(1)</script>" in said]
    assert len(shown) >= 5  # about, chart title, legends of two charts, table, sample: shown, not executed
    assert ["generation.prompt", "<b>once & for all"] in rows(source)


@pytest.mark.parametrize("text", ["", '"', "'", "&lt;", "]]>", "<!--", "\x00\x1b[2J", "\u202e", "</svg>"])
def test_text_of_a_user_does_not_become_markup(tmp_path: Path, text: str) -> None:
    check_that_text_stays_text(tmp_path, text)


@pytest.mark.slow
@given(text=st.text())
def test_no_text_of_a_user_becomes_markup(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    check_that_text_stays_text(tmp_path_factory.mktemp("x"), text)


def test_half_of_a_surrogate_pair_is_shown_as_a_replacement_character(run: Path) -> None:
    text, page = report(run, [{"step": 1, "sample": "a\ud800b"}], "about", "validation")
    assert "<pre dir=auto>a&#55296;b</pre>" in text
    assert "a\ufffdb" in page.texts


def test_a_page_needs_no_network_and_no_script(run: Path) -> None:
    text, page = report(run, [*records(), {"step": 100, "sample": "x"}], "about", "validation")
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not {"src", "href"} & {name for _, attributes in page.tags for name in attributes}
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_a_page_reloads_itself_until_training_has_ended(run: Path) -> None:
    assert 'http-equiv="refresh"' in report(run, records(50), "", "validation")[0]
    assert 'http-equiv="refresh"' not in report(run, records(100), "", "validation")[0]


def test_many_samples_are_thinned_out_and_the_page_says_so(run: Path) -> None:
    samples = [{"step": step, "sample": f"[{step}]"} for step in range(1, 101)]
    text, page = report(run, samples, "", "validation")
    assert "Samples, 12 of 100" in text
    assert page.count("details") == 12
    assert re.findall(r"<pre dir=auto>\[(\d+)\]</pre>", text) == [str(100 - 9 * i) for i in range(12)]


def test_a_long_run_does_not_make_a_long_page(run: Path) -> None:
    sizes = []
    for n_steps in (2_000, 20_000):
        write_report(run, records(n_steps), "", "validation")
        sizes.append((run / "report.html").stat().st_size)
    assert sizes[1] < 1.5 * sizes[0]


def test_settings_that_cannot_be_read_are_named_and_the_old_page_stays(run: Path) -> None:
    write_report(run, records(), "", "validation")
    before = (run / "report.html").read_bytes()
    (run / "run.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"run.yaml is not valid YAML"):
        write_report(run, records(), "", "validation")
    assert (run / "report.html").read_bytes() == before


def test_settings_are_shown_as_yaml_writes_them() -> None:
    settings: Mapping[str, Any] = {"a": {"b": None, "c": {"d": True}}, "e": "null", "f": [1, "x"], "g": 0.1}
    assert flat(settings) == {"a.b": "null", "a.c.d": "true", "e": "null", "f": '[1, "x"]', "g": "0.1"}


def curve_of(*values: float) -> Curve:
    return Curve(np.arange(1, len(values) + 1), np.array(values))


def points(drawing: str) -> list[tuple[float, float]]:
    path = re.search(r'<path class=line [^>]*d="M([^"]*)"', drawing)
    assert path
    pairs = (point.split() for point in path[1].split("L"))
    return [(float(x), float(y)) for x, y in pairs]


def test_a_point_is_drawn_at_its_step_and_value() -> None:
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
@example([0.0, 5e-324], False)
def test_every_coordinate_is_a_number_in_the_drawing(values: list[float], band: bool) -> None:
    drawing = chart("t", [Line("l", curve_of(*values), "red", band=band)], width=480, height=240)
    numbers = [
        float(n) for d in re.findall(r' d="([^"]*)"', drawing) for n in re.findall(r"-?[\d.e+]+|nan|inf", d)
    ]
    assert all(math.isfinite(n) and -0.1 <= n <= 480.1 for n in numbers)


def test_no_points_no_chart() -> None:
    assert chart("t", [Line("l", curve_of(), "red")], width=480, height=240) == ""
