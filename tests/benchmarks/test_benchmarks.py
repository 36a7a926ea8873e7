"""The benchmarks measure what they claim: the same models and the same arithmetic. Speed is not tested."""

import argparse
import dataclasses
import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from rich.console import Console

import scratchgpt as sg
from benchmarks import (
    adaptive_softmax,
    engine_process,
    generate,
    kernels,
    our_continuation,
    peers,
    report,
    scaling,
    shakespeare,
    time_to_loss,
    timing,
    tokenizer,
    train_step,
)
from benchmarks.curve import Curve, Text, follow
from benchmarks.engine_process import EngineFailed, EngineProcess, take_turns_apart
from benchmarks.engines import ENGINES, decode, encode
from benchmarks.machine import OtherPrograms, describe, short_name
from benchmarks.memory_probe import probe
from benchmarks.models import (
    PROMPT_LENGTH,
    ROWS,
    Continuation,
    Row,
    Workload,
    matmul_flops,
    random_batch,
    weight_bytes,
)
from benchmarks.op_inputs import op_inputs
from benchmarks.our_steps import training_step
from benchmarks.our_trainer import OurTrainer
from benchmarks.program import Benchmark, parse_options, publish
from benchmarks.rates import matmul_rate, read_rate
from benchmarks.tables import Table, verdict
from benchmarks.timing import spread, take_turns
from scratchgpt.backends import reference
from scratchgpt.errors import InputError
from tests.support.project import ROOT

TINY = sg.GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=12)
ROW = Row(TINY, 3)
GENERATION = generate.Row(sg.GPTConfig(11, 48, n_layer=2, n_head=2, n_embd=12), 40, 1, 1)
CONTINUATION = Continuation(GENERATION.config, 3)
HINT = "pip install -e '.[bench]'"
QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let turns follow each other at once, and be short: nothing here is about speed."""
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    monkeypatch.setattr(engine_process, "PAUSE", 0.0)
    monkeypatch.setattr(train_step, "TURN_SECONDS", 0.01)


def torch_module(name: str) -> Any:
    """Import a module of the benchmarks that needs PyTorch, or skip."""
    pytest.importorskip("torch", reason=f"PyTorch is not installed: {HINT}")
    return peers.load(name, ["torch"], QUIET)


def test_flops_of_a_step_counted_by_hand() -> None:
    # One layer, 2 tokens of one text, C=4, F=16, V=3. Multiply-adds forward: c_attn 2·4·12, c_proj 2·4·4,
    # c_fc 2·4·16, c_proj 2·16·4, head 2·4·3; scores and values over half of the 2·2 pairs, 4 channels each.
    row = Row(sg.GPTConfig(3, 2, n_layer=1, n_head=1, n_embd=4), 1)
    forward = 2 * 4 * 12 + 2 * 4 * 4 + 2 * 4 * 16 + 2 * 16 * 4 + 2 * 4 * 3 + 2 * (2 * 2 // 2 * 4)
    assert matmul_flops(row) == 2 * 3 * forward  # an addition with each product; dx and dW cost as much each
    assert matmul_flops(row._replace(batch_size=5)) == 5 * matmul_flops(row)


def test_rows_are_the_models_that_their_names_say() -> None:
    assert ROWS["780"].n_params == 780
    for name in ("4x4x128", "6x6x384", "12x12x768"):
        config = ROWS[name].config
        assert name == f"{config.n_layer}x{config.n_head}x{config.n_embd}"
    assert set(train_step.TURNS) == set(train_step.TARGETS) == set(ROWS)
    assert set(generate.TARGETS) == set(generate.ROWS)
    assert set(train_step.ENGINES) < set(ENGINES[Row])


def test_bytes_that_a_new_token_reads() -> None:
    params = sg.GPT(TINY).init()
    assert weight_bytes(TINY) == params.flat.nbytes - params["wpe.weight"].nbytes
    untied = sg.GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=12, tie_weights=False)
    assert weight_bytes(untied) == weight_bytes(TINY)  # the head is read, the embedding looked up


def test_rates_are_positive_numbers() -> None:
    assert 0 < matmul_rate(2, n=16) < float("inf")
    assert 0 < read_rate(2, megabytes=1) < float("inf")


def test_the_machine_is_described() -> None:
    machine = describe()
    assert machine["numpy"] == np.__version__
    assert json.loads(json.dumps(machine)) == machine
    busy = describe(OtherPrograms())["busy_cores"]
    assert busy is None or busy >= 0.0


def test_turns() -> None:
    calls: list[str] = []
    seconds = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, steps=3)
    assert "".join(calls) == "aaaabbbb" * 2  # the first of four is not timed
    assert {name: len(times) for name, times in seconds.items()} == {"a": 6, "b": 6}
    assert spread([4.0, 1.0, 3.0, 2.0, 5.0], scale=10.0) == (30.0, 20.0, 40.0)


def test_our_step_trains() -> None:
    step = training_step(ROW, threads=1)
    losses = [step() for _ in range(30)]
    x, y = random_batch(ROW)
    model = sg.GPT(TINY)
    assert losses[0] == pytest.approx(sg.loss(model, model.init(), x, y), rel=1e-6)
    assert losses[-1] < losses[0] - 0.05


@pytest.mark.peers
@pytest.mark.parametrize("bfloat16", [False, True])
def test_pytorch_takes_the_same_steps(bfloat16: bool) -> None:
    theirs = torch_module("torch_steps").training_step(ROW, 1, bfloat16=bfloat16)
    ours = training_step(ROW, threads=1)
    for _ in range(5):
        assert float(theirs()) == pytest.approx(ours(), rel=2e-2 if bfloat16 else 1e-5)


@pytest.mark.parametrize(
    ("workload", "make"), [(ROW, training_step), (CONTINUATION, our_continuation.greedy)]
)
def test_engines_take_turns_in_separate_processes(workload: Workload, make: Callable[..., Any]) -> None:
    processes = {name: EngineProcess("scratchgpt", workload, 1) for name in ("a", "b")}
    seconds = take_turns_apart(processes, turns=2, calls=3)
    for process in processes.values():
        process.close()
    assert processes["a"].first == processes["b"].first == make(workload, 1)()
    assert {name: len(times) for name, times in seconds.items()} == {"a": 6, "b": 6}
    assert all(0 < each < 60 for times in seconds.values() for each in times)


def test_a_process_that_cannot_make_a_first_call_says_why() -> None:
    with pytest.raises(EngineFailed, match="no such engine"):
        EngineProcess("no such engine", ROW, 1)
    with pytest.raises(EngineFailed, match="block_size"):
        EngineProcess("scratchgpt", Continuation(TINY, 3), 1)  # the prompt alone is longer than 8 tokens


@pytest.mark.slow
@pytest.mark.peers
def test_an_engine_of_each_name_starts() -> None:
    torch_module("torch_steps")
    engines = ["scratchgpt", "PyTorch", "PyTorch bfloat16"]
    with ExitStack() as stack:
        assert list(train_step.start(ROW, 1, engines, QUIET, stack)) == engines


def test_an_engine_that_fails_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close = EngineProcess.close
    monkeypatch.setattr(
        EngineProcess, "close", lambda self, at_once=False: closed.append(self) or close(self, at_once)
    )
    with pytest.raises(EngineFailed, match="no such engine"):
        train_step.measure_row(ROW, 1, 1, ["scratchgpt", "no such engine"], QUIET)
    assert len(closed) == 2


def test_a_compiler_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def process(engine: str, row: Row, threads: int) -> Mock:
        if engine == "PyTorch compiled":
            raise EngineFailed("no C++ compiler")
        return Mock(name=engine)

    monkeypatch.setattr(train_step, "EngineProcess", process)
    console = Console(width=200)
    with console.capture() as captured, ExitStack() as stack:
        processes = train_step.start(ROW, 1, ["scratchgpt", *train_step.PEERS], console, stack)
    assert list(processes) == ["scratchgpt", "PyTorch", "PyTorch bfloat16"]
    assert "torch.compile does not work on this machine: no C++ compiler" in captured.get()


def test_missing_libraries_are_named() -> None:
    console = Console(width=200)
    with console.capture() as captured:
        assert peers.load("torch_steps", ["no_such_library"], console) is None
    assert "no_such_library" in captured.get()
    assert HINT in captured.get()


def test_greedy_continuation_takes_the_likeliest_tokens() -> None:
    model = sg.GPT(CONTINUATION.config)
    params = model.init()
    tokens = CONTINUATION.prompt
    for _ in range(CONTINUATION.n_new):
        tokens.append(int(sg.logits(model, params, np.array([tokens]))[0, -1].argmax()))
    assert our_continuation.greedy(CONTINUATION, threads=1)() == tokens[PROMPT_LENGTH:]


@pytest.mark.peers
@pytest.mark.parametrize("tied", [True, False])
def test_transformers_has_our_weights_and_generates_our_tokens(tied: bool) -> None:
    pytest.importorskip("transformers", reason=f"transformers is not installed: {HINT}")
    hf_gpt2 = torch_module("hf_gpt2")
    config = sg.GPTConfig(11, 48, n_layer=2, n_head=2, n_embd=12, tie_weights=tied, init_std=0.5)
    workload, params = Continuation(config, 30), sg.GPT(config).init(3)
    theirs = hf_gpt2.with_weights_of(config, params)
    logits = theirs(hf_gpt2.torch.tensor([workload.prompt])).logits.detach().numpy()
    np.testing.assert_allclose(
        logits, sg.logits(sg.GPT(config), params, np.array([workload.prompt])), atol=2e-4
    )
    ours = our_continuation.greedy(workload, threads=1)()
    assert hf_gpt2.greedy(workload, threads=1)() == ours
    assert len(set(ours)) > 1  # else equality would prove little


@pytest.mark.slow
@pytest.mark.peers
def test_both_engines_generate_the_same_text_in_their_processes() -> None:
    pytest.importorskip("torch", reason=f"PyTorch is not installed: {HINT}")
    pytest.importorskip("transformers", reason=f"transformers is not installed: {HINT}")
    row = generate.measure_row(GENERATION, 1, 1, generate.ENGINES)  # raises unless they agree
    assert {engine: len(seconds) for engine, seconds in row["seconds"].items()} == {
        "scratchgpt": 1,
        "transformers": 1,
    }
    assert row["new_tokens"] == GENERATION.config.block_size - PROMPT_LENGTH


def test_engines_that_disagree_stop_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    generate.check_agreement({"scratchgpt": [1] * 12 + [2], "transformers": [1] * 12 + [3]})
    with pytest.raises(RuntimeError, match="do not run the same model"):
        generate.check_agreement({"scratchgpt": [1, 2, 3], "transformers": [1, 2, 4]})
    closed = []

    class Process:
        def __init__(self, engine: str, workload: Workload, threads: int) -> None:
            self.first = [len(engine)]

        def close(self) -> None:
            closed.append(self.first)

    monkeypatch.setattr(generate, "EngineProcess", Process)
    with pytest.raises(RuntimeError, match="do not run the same model"):
        generate.measure_row(GENERATION, 1, 1, generate.ENGINES)
    assert len(closed) == 2


def test_thread_counts() -> None:
    assert [scaling.thread_counts(n) for n in (1, 2, 3, 8)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8]]


def test_memory_is_measured_in_a_fresh_process() -> None:
    found = probe("scratchgpt, recomputed", ROW, threads=1, calls=1)
    assert found["peak"] >= found["imported"] > 10 * 2**20


def test_every_replaced_pair_has_inputs_that_both_halves_take() -> None:
    pairs = kernels.replaced()
    assert pairs
    for name, pair in pairs.items():
        seconds = kernels.measure_op(name, pair, ROW, turns=1)
        assert {(half, backend) for half in seconds for backend in seconds[half]} == {
            (half, backend) for half in ("forward", "backward") for backend in ("reference", "numpy")
        }


@pytest.mark.parametrize("name", sorted(vars(reference.OPS)))
def test_op_inputs_have_the_sizes_of_the_model(name: str) -> None:
    op = getattr(reference.OPS, name)
    if name == "dropout":  # it takes a random generator, which no annotation describes
        return
    inputs = op_inputs(name, op, ROW)
    y, saved = op.forward(**inputs)
    op.backward(saved, kernels.upstream_gradient(y))
    assert all(x.dtype == np.float32 for x in inputs.values() if getattr(x, "dtype", None) == "float32")


def test_an_op_without_known_inputs_is_named() -> None:
    class Riddle:
        @staticmethod
        def forward(x: Any, puzzle: str) -> tuple[Any, Any]: ...

        @staticmethod
        def backward(saved: Any, dy: Any) -> tuple[Any, ...]: ...

    with pytest.raises(
        InputError, match=r"op 'riddle': cannot build argument 'x'.*its shape is unknown.*op_inputs\.py"
    ):
        op_inputs("riddle", Riddle, ROW)


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    """Settings of a tiny training run on a tiny text."""
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 20, encoding="utf-8")
    config = tmp_path / "tiny.yaml"
    config.write_text(
        "model: {block_size: 8, n_layer: 1, n_head: 1, n_embd: 8, activation: gelu_exact, bias: false}\n"
        "training: {max_steps: 20, batch_size: 4, learning_rate: 0.01, warmup_steps: 2, beta2: 0.99}\n",
        encoding="utf-8",
    )
    return time_to_loss.read_settings(str(config), text, None)


def test_a_curve_ends_where_the_training_program_ends(settings: Any, command: Any, tmp_path: Path) -> None:
    text = Text.of(settings)
    curve = follow(OurTrainer(settings.training, text, 1), settings.training, text, 8, sg.get_backend())
    assert curve.steps == [8, 16, 20]
    assert sorted(curve.seconds) == curve.seconds
    command("train.py", "--config", str(tmp_path / "tiny.yaml"), "--data", settings.data, "--out", "run")
    metrics = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    val_losses = [each["val_loss"] for each in metrics if "val_loss" in each]
    assert curve.losses[-1] == pytest.approx(val_losses[-1], rel=1e-5)


@pytest.mark.peers
def test_pytorch_follows_the_same_curve(settings: Any) -> None:
    trainer = torch_module("torch_trainer").TorchTrainer
    recipes = {"PyTorch": (trainer, settings), "scratchgpt": (OurTrainer, settings)}
    curves = time_to_loss.train_all(recipes, threads=1, seeds=2, every=10, console=QUIET)
    for theirs, ours in zip(curves["PyTorch"], curves["scratchgpt"], strict=True):
        assert ours.steps == theirs.steps == [10, 20]
        assert ours.losses == pytest.approx(theirs.losses, rel=1e-4)
    assert curves["scratchgpt"][0].losses != curves["scratchgpt"][1].losses


def test_ratio_of_the_times_to_a_loss() -> None:
    fast = Curve([1, 2], [1.0, 2.0], [3.0, 1.0])
    slow = Curve([1, 2], [5.0, 8.0], [3.0, 2.0])
    assert time_to_loss.ratio(slow, fast, 2.0) == 4.0
    assert time_to_loss.ratio(slow, fast, 1.5) == 4.0  # it never does: its whole run counts
    assert time_to_loss.ratio(slow, fast, 0.5) is None


def test_tiny_shakespeare_is_found_among_the_shared_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCHGPT_SHARED", str(tmp_path))
    assert shakespeare.find_text(None) is None
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "tinyshakespeare.txt"
    path.write_text("text", encoding="utf-8")
    assert shakespeare.find_text(None) == path
    assert shakespeare.find_text(str(tmp_path / "nothing")) is None


def test_tables() -> None:
    table = Table("Title", ["model", "ms"], [["780", "1.0\n0.9–1.1"]], "A note.")
    assert table.markdown() == (
        "**Title**\n\n| model | ms |\n| --- | ---: |\n| 780 | 1.0<br>0.9–1.1 |\n\nA note.\n"
    )
    on_a_machine = table._replace(machine="AMD EPYC, 2 cores")
    assert on_a_machine.markdown().startswith("**Title** (AMD EPYC, 2 cores)\n")
    console = Console(width=80)
    with console.capture() as captured:
        console.print(on_a_machine.rich())
    assert "0.9–1.1" in captured.get()
    assert "AMD EPYC, 2 cores" in " ".join(captured.get().split())


def test_a_verdict_says_where_we_are_behind() -> None:
    assert verdict("PyTorch", {"780": 2.0, "4x4x128": None}) == "Not behind PyTorch in any row."
    assert verdict("PyTorch", {"780": 2.0, "4x4x128": 0.871}) == "**Behind PyTorch: 4x4x128 (0.87).**"
    behind = verdict("PyTorch", {"780": 0.5, "4x4x128": 0.871})
    assert behind == "**Behind PyTorch in every row (0.50 to 0.87).**"
    assert verdict("PyTorch", {"780": None}) == ""


def test_a_workload_survives_the_command_line() -> None:
    heads = dataclasses.replace(TINY, adaptive_cutoffs=(3,), tie_weights=False)
    for workload in (ROW, CONTINUATION, Row(heads, 2, zipf=True)):
        assert decode(*encode(workload)) == workload


def test_zipf_batches_prefer_small_ids() -> None:
    tokens, _ = random_batch(Row(sg.GPTConfig(1000, 64, 1, 1, 4), 8, zipf=True))
    uniform, _ = random_batch(Row(sg.GPTConfig(1000, 64, 1, 1, 4), 8))
    assert np.median(tokens) < 100 < np.median(uniform)


@pytest.mark.parametrize("benchmark", report.BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_every_benchmark_has_options_with_help(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["program", "--no-json"])
    assert parse_options(benchmark).no_json
    monkeypatch.setattr("sys.argv", ["program", "--help"])
    with pytest.raises(SystemExit):
        parse_options(benchmark)
    assert benchmark.title in " ".join(capsys.readouterr().out.split())


TOKENIZER_TEXT = "the cat sat on the mat and the rat sat on the cat " * 3
BPE = tokenizer.train(TOKENIZER_TEXT, 270)


def measured() -> dict[str, Any]:
    """Measure everything once, as small as possible, without the other libraries."""
    row = train_step.measure_row(ROW, 1, 1, ["scratchgpt"], QUIET)
    bigger = train_step.measure_row(Row(TINY, 6), 1, 1, ["scratchgpt"], QUIET)
    step = {"sgemm": 1e9, "rows": {"780": row, "new": bigger}, "sweeps": {"tiny": {"3": row, "6": bigger}}}
    curve = Curve([1, 2], [1.0, 2.0], [3.0, 1.0])._asdict()
    pairs = kernels.replaced()
    return {
        "train_step": step,
        "time_to_loss": {"target": 2.0, "every": 1, "curves": {"scratchgpt": [curve, curve]}},
        "generate": {
            "read_rate": 1e9,
            "rows": {"new": generate.measure_row(GENERATION, 1, 1, ["scratchgpt"])},
        },
        "scaling": {"model": "tiny", "seconds": scaling.seconds_by_threads(ROW, [1, 2], 1)},
        "memory": {"rows": {"780": {"scratchgpt": [{"imported": 2**20, "peak": 4 * 2**20}]}}},
        "kernels": {"rows": {"tiny": {"linear": kernels.measure_op("linear", pairs["linear"], ROW, 1)}}},
        "tokenizer": {
            "bytes": len(TOKENIZER_TEXT),
            "training": [tokenizer.measure_training(TOKENIZER_TEXT, 270, 1, None)],
            "encoding": {"our 270": tokenizer.measure_encoding(BPE, TOKENIZER_TEXT, 1, None)},
            "libraries": {},
        },
        "prepare": {
            "bytes": 10**6,
            "tokenizers": {"characters": {"prepared": {"tokens": 10**6, "seconds": 1.0, "peak": 10**8}}},
        },
        "checkpointing": {
            "models": {
                "12x6x384": {
                    "memory": {
                        way: [{"imported": 2**20, "peak": peak * 2**20}]
                        for way, peak in (("kept", 900), ("recomputed", 600))
                    },
                    "seconds": {"kept": [1.0, 1.1], "recomputed": [1.3, 1.4]},
                }
            }
        },
        "adaptive_softmax": {
            "heads": {
                head: {
                    "step": [0.5],
                    "memory": {"imported": 2**20, "peak": 2**22},
                    "n_params": 1000,
                    "targets": adaptive_softmax.targets_by_cluster(row),
                }
                for head, row in adaptive_softmax.HEADS.items()
            }
        },
    }


def test_the_page_is_written_from_the_json_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, page = tmp_path / "results", tmp_path / "docs" / "benchmarks.md"
    results.mkdir()
    page.parent.mkdir()
    monkeypatch.setattr("sys.argv", ["program", "--turns", "1", "--json", "somewhere"])
    figures = measured()
    for benchmark in report.BENCHMARKS:
        path = results / f"{benchmark.name}.json"
        options = argparse.Namespace(json=path, no_json=False, threads=1)
        publish(benchmark, figures[benchmark.name], options, OtherPrograms(), QUIET)
    monkeypatch.setattr("sys.argv", ["report", "--results", str(results), "--out", str(page)])
    report.main()
    text = page.read_text(encoding="utf-8")
    assert text.count("\n## ") == len(report.BENCHMARKS)
    assert "```\npython -m benchmarks.scaling --turns 1\n```" in text
    assert "| 780 | 3.0<br>+ 1 | – | – | 1.0 |" in text
    machine = short_name(describe())
    assert text.count(f"** ({machine})\n") == len(report.BENCHMARKS) + 2  # two for steps, two for tokenizers
    assert "three of four rows" in text.split("## ")[0]
    assert "(Intel Emerald Rapids, 2 cores, AVX-512, no AMX)" in text
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(pictures) == 3
    for picture in pictures:
        assert (page.parent / picture).read_bytes().startswith(b"\x89PNG")


def test_every_benchmark_has_a_command() -> None:
    for benchmark in report.BENCHMARKS:
        source = (ROOT / "benchmarks" / f"{benchmark.name}.py").read_text(encoding="utf-8")
        assert f"python -m benchmarks.{benchmark.name}" in source


def test_a_page_is_not_overwritten_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("as it was", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["report", "--results", str(tmp_path / "none"), "--out", str(page)])
    with pytest.raises(SystemExit) as stop:
        report.main()
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert "python -m benchmarks.generate" in printed.out  # what to run
    assert "has no results" in printed.err
    assert page.read_text(encoding="utf-8") == "as it was"
