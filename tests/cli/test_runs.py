"""`scratchgpt runs` and `scratchgpt compare`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from rich.console import Console
from safetensors.numpy import save_file

from scratchgpt.cli.commands import compare, runs
from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Curve
from scratchgpt.runs.summary import FACTS, differences, read_summary, short

STEPS = [{"step": step, "loss": 4 / step, "lr": 1e-3, "grad_norm": 1.0} for step in range(1, 21)]


def make_run(
    folder: Path, evaluations: Mapping[int, float] | None = None, changed: float = 0.0, **training: Any
) -> Path:
    """Make the files of a run, as `RunFolder` writes them."""
    folder.mkdir(parents=True)
    settings = {"data": "tales.txt", "out": str(folder), "model": {"vocab_size": None, "n_layer": 2}}
    settings["training"] = {"max_steps": 20, "batch_size": 4, "learning_rate": 0.001, **training}
    (folder / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    config = {"vocab_size": 65, "block_size": 16, "n_layer": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if evaluations:
        last = max(evaluations)
        records: list[dict[str, Any]] = [record for record in STEPS if record["step"] <= last]
        for step, loss in evaluations.items():
            records.append({"step": step, "val_loss": loss, "tokens_per_second": 64.0})
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
        save_file({"x": np.zeros(3, np.float32)}, folder / "last.safetensors")
    for path in folder.iterdir():
        os.utime(path, (changed, changed))
    return folder


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """Return the words of the lines of `scratchgpt runs`."""
    assert runs.main(list(arguments)) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_a_table_of_runs_the_most_recent_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "older", {10: 2.5, 20: 2.75}, changed=1000)
    make_run(tmp_path / "newer", {10: 2.25}, changed=2000, learning_rate=0.01)
    make_run(tmp_path / "begun", changed=1500)
    (tmp_path / "notes").mkdir()  # no run
    lines = listed(capsys, str(tmp_path))
    assert lines[2:] == [
        ["newer", "10/20", "2.2500", "10", "640", "~0:00:10"],
        ["begun", "0/20", "none", "yet", "0"],
        ["older", "20/20", "2.5000", "10", "1.3k", "~0:00:20"],
        ["most", "runs:", "learning_rate", "0.001"],
        ["newer:", "learning_rate", "0.01"],
    ]


def test_on_a_narrow_terminal_every_name_and_fact_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "a-run-with-quite-a-long-name", {10: 2.25}, changed=3)
    make_run(tmp_path / "begun", changed=2)
    make_run(tmp_path / "broken", {20: 2.0}, changed=1)
    (tmp_path / "broken" / "config.json").unlink()
    monkeypatch.setattr(runs, "console", lambda: Console(width=50))
    assert runs.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    facts = "steps 10/20, best validation loss 2.2500, at step 10, tokens 640, time ~0:00:10"
    begun = "steps 0/20, best validation loss none yet, tokens 0"
    words = f"a-run-with-quite-a-long-name {facts} begun {begun} broken damaged"
    assert " ".join(out.split()).startswith(words)


def test_recorded_time_has_no_tilde(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", {20: 2.0})
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 20, "val_loss": 2.0, "seconds": 3601.2}\n')
    assert read_summary(run).facts()[-1] == "1:00:01"


def test_runs_that_are_alike_have_no_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        make_run(tmp_path / name, {20: 2.0})
    heading, line, *rows = listed(capsys, str(tmp_path))
    assert heading == ["run", "steps", "best", "validation", "loss", "at", "step", "tokens", "time"]
    assert set("".join(line)) == {"─"}
    assert sorted(rows) == [[name, "20/20", "2.0000", "20", "1.3k", "~0:00:20"] for name in "ab"]


def test_only_settings_that_differ_are_named(tmp_path: Path) -> None:
    a = read_summary(make_run(tmp_path / "a", {20: 2.0}))
    b = read_summary(make_run(tmp_path / "b", {20: 2.0}, batch_size=8, new_setting=True))
    assert differences([a, b]) == ["training.batch_size", "training.new_setting"]
    assert differences([a]) == differences([]) == []
    assert "model.vocab_size" in a.configuration and a.configuration["model.vocab_size"] == "65"


def test_a_name_keeps_its_section_where_it_must() -> None:
    names = ["corpus.path", "tokenizer.path", "training.seed"]
    assert [short(name, names) for name in names] == ["corpus.path", "tokenizer.path", "seed"]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("run.yaml", "a: [", "run.yaml is not valid YAML"),
        ("run.yaml", None, "run.yaml does not exist"),
        ("config.json", "", "config.json is empty"),
        ("config.json", "[]", "config.json holds a list"),
        ("metrics.jsonl", '{"step": 1, "lo', "metrics.jsonl is damaged: line 1"),
        ("metrics.jsonl", "", "metrics.jsonl is empty"),
        ("last.safetensors", "cut off", "last.safetensors is corrupted or truncated"),
        ("last.safetensors", None, "last.safetensors does not exist"),
    ],
)
def test_a_damaged_run_is_listed_with_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: str | None, words: str
) -> None:
    make_run(tmp_path / "good", {20: 2.0})
    broken = make_run(tmp_path / "broken", {20: 2.0}, changed=9)
    if content is None:
        (broken / file).unlink()
    else:
        (broken / file).write_text(content, encoding="utf-8")
    lines = listed(capsys, str(tmp_path))
    assert ["broken", "damaged"] in lines
    assert ["good", "20/20", "2.0000", "20", "1.3k", "~0:00:20"] in lines
    assert words in " ".join(lines[-1]) and lines[-1][:3] == ["broken", "is", "damaged:"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["training", "max_steps", "batch_size", "block_size", "data"])
NUMBERS = st.none() | st.floats() | st.integers(-(2**70), 2**70) | st.text(max_size=3)
RECORD = st.fixed_dictionaries(
    {"step": st.integers(0, 2**63 - 1)},
    optional=dict.fromkeys(("loss", "val_loss", "seconds", "tokens_per_second"), NUMBERS),
)


@given(st.dictionaries(KEYS, JSON), st.dictionaries(KEYS, JSON), st.lists(RECORD, min_size=1, max_size=3))
def test_whatever_a_run_holds_is_a_run_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, settings: Any, config: Any, records: list[Any]
) -> None:
    run = make_run(tmp_path_factory.mktemp("x") / "run", {20: 2.0})
    (run / "run.yaml").write_text(json.dumps(settings), encoding="utf-8")
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (run / "metrics.jsonl").write_text(lines, encoding="utf-8")
    try:
        words = read_summary(run).facts()
    except InputError as error:
        assert str(run) in str(error)
    else:
        assert len(words) == len(FACTS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "there is no folder 'nowhere' yet; train a model first"),
        (".", "there is no run in '.'; train a model first, or name the folder"),
    ],
)
def test_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        runs.main([name])


def test_escape_sequences_in_the_name_of_a_run_are_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "[red]x\x1b[2J", {20: 2.0})
    assert runs.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "[red]x [2J" in out and "\x1b" not in out


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, dict[str, Curve]]]]:
    """Collect the arguments of plots instead of drawing them."""
    calls: list[tuple[str, dict[str, dict[str, Curve]]]] = []
    monkeypatch.setattr(
        "scratchgpt.cli.commands.compare.plot_comparison",
        lambda path, measure, panels: calls.append((measure, panels)),
    )
    return calls


def test_a_comparison_is_a_plot_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = make_run(tmp_path / "_a$b$", {10: 2.5, 20: 2.0})
    b = make_run(tmp_path / "b", {20: 1.75}, batch_size=8)
    out = tmp_path / "picture.png"
    assert compare.main([str(a), str(b), "--out", str(out)]) == 0
    pixels = imread(out)
    assert pixels.shape == (540, 3 * 660, 4)  # against steps, tokens and seconds
    for color in ("C0", "C1"):  # a curve for each run
        assert (np.abs(pixels[..., :3] - to_rgb(color)).max(axis=-1) < 0.02).sum() > 100, color
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["best", "validation", "loss", "2.0000", "1.7500"] in lines
    assert ["batch_size", "4", "8"] in lines
    assert not [line for line in lines if line[:1] == ["learning_rate"]]


def test_losses_are_plotted_against_steps_tokens_and_seconds(
    tmp_path: Path, drawn: list[tuple[str, dict[str, dict[str, Curve]]]]
) -> None:
    a = str(make_run(tmp_path / "a", {10: 2.5, 20: 2.0}))
    b = str(make_run(tmp_path / "b", {10: 2.0}, batch_size=8))
    with Path(b, "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 10, "seconds": 3.0}\n')
    assert compare.main([a, b]) == 0
    ((measure, panels),) = drawn
    assert measure == "loss (nats per token)"
    where = {quantity: [curves[run].steps.tolist() for run in (a, b)] for quantity, curves in panels.items()}
    assert where == {
        "step": [[10, 20], [10]],
        "tokens seen": [[640, 1280], [1280]],
        "seconds of training": [[10.0, 20.0], [3.0]],  # of a from its pace, of b as recorded
    }
    assert panels["step"][a].values.tolist() == [2.5, 2.0]


def test_runs_with_different_tokenizers_are_compared_per_byte(
    tmp_path: Path, drawn: list[tuple[str, dict[str, dict[str, Curve]]]], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [make_run(tmp_path / name, {20: 2.0}) for name in "ab"]
    for folder in folders:
        (folder / "tokenizer.json").write_text(folder.name, encoding="utf-8")
    assert compare.main([str(folder) for folder in folders]) == 0
    assert (
        "the tokenizers differ: losses per token are not comparable, bits per byte are"
        in capsys.readouterr().out
    )
    for folder in folders:
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"step": 20, "bits_per_byte": 1.5}\n')
    assert compare.main([str(folder) for folder in folders]) == 0
    assert [measure for measure, _ in drawn] == ["loss (nats per token)", "bits per byte"]
    assert drawn[1][1]["step"][str(folders[0])].values.tolist() == [1.5]


def test_a_warning_that_runs_on_different_texts_are_not_comparable(
    tmp_path: Path, drawn: list[tuple[str, dict[str, dict[str, Curve]]]], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [make_run(tmp_path / name, {20: 2.0}) for name in "ab"]
    settings = yaml.safe_load((folders[0] / "run.yaml").read_text(encoding="utf-8"))
    (folders[0] / "run.yaml").write_text(yaml.safe_dump(settings | {"data": "other.txt"}), encoding="utf-8")
    assert compare.main([str(folder) for folder in folders]) == 0
    assert (
        "the runs use different texts, or read them differently: their losses are not comparable"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a"], "a is the only run given; expected two or more to compare"),
        (["a", "a"], "a is the only run given"),
        (["a", "b", "--out=x.svg"], "--out is 'x.svg'; expected a file name that ends in .png"),
        (["a", "nowhere"], "nowhere is not a run"),
        (["a", "begun"], "begun has no evaluation yet"),
    ],
)
def test_a_comparison_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        make_run(Path(name), {20: 2.0})
    make_run(Path("begun"))
    with pytest.raises(InputError, match=words):
        compare.main(arguments)
    assert not list(Path().glob("*.*"))
