"""train.py on texts of all kinds, with tokenizers of all kinds."""

import gzip
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import scratchgpt as sg
from scratchgpt import tokenizers
from scratchgpt.corpora.dialogue import PROMPT
from scratchgpt.tokenizers import ByteTokenizer
from tests.support.project import Outcome

Command = Callable[..., Outcome]
SMALL = (
    "--model.block_size=16", "--model.n_layer=1", "--model.n_embd=16", "--model.n_head=2",
    "--training.max_steps=6", "--training.eval_interval=3", "--training.batch_size=4",
    "--training.eval_tokens=64", "--generation.max_new_tokens=12", "--training.warmup_steps=0",
)  # fmt: skip
WORDS = "the fox saw a crow and the crow saw a fox but nobody saw the cheese "


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache for each test."""
    monkeypatch.setenv("SCRATCHGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def trained(done: Outcome, out: str = "run") -> sg.LanguageModel:
    """Return the model of a run that succeeded."""
    assert done.code == 0, done.err
    return sg.load(out)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "sentencepiece"])
def test_every_kind_of_tokenizer_trains_and_comes_with_the_run(command: Command, kind: str) -> None:
    if kind == "sentencepiece":
        pytest.importorskip("sentencepiece")
    Path("text.txt").write_text(WORDS * 40, encoding="utf-8")
    size = "300" if kind == "bpe" else "280"
    done = command(
        "train.py", "--data", "text.txt", "--out", "run", *SMALL,
        f"--tokenizer.kind={kind}", f"--tokenizer.vocab_size={size}",
    )  # fmt: skip
    model = trained(done)
    assert model.tokenizer.decode(model.tokenizer.encode("the crow saw")) == "the crow saw"
    assert model.model.config.vocab_size == model.tokenizer.vocab_size
    assert isinstance(model.generate("the", max_new_tokens=3, seed=0), str)
    again = command("sample.py", "run", "--seed", "1", "--prompt", "the crow")
    assert again.out.startswith("the crow")


def test_a_tokenizer_can_be_taken_from_another_run(command: Command) -> None:
    Path("a.txt").write_text(WORDS * 40, encoding="utf-8")
    first = command("train.py", "--data", "a.txt", "--out", "a", *SMALL, "--tokenizer.kind=bpe",
                    "--tokenizer.vocab_size=290")  # fmt: skip
    Path("b.txt").write_text(("a cheese saw the crow " + WORDS) * 30, encoding="utf-8")
    second = command("train.py", "--data", "b.txt", "--out", "b", *SMALL, "--tokenizer.path", "a")
    assert trained(first, "a").tokenizer.to_bytes() == trained(second, "b").tokenizer.to_bytes()
    missing = command("train.py", "--data", "b.txt", "--out", "c", *SMALL, "--tokenizer.path", "nowhere")
    assert (missing.code, Path("c").exists()) == (2, False)
    assert "nowhere" in missing.err


def test_files_of_a_folder_are_documents_with_an_end(command: Command) -> None:
    Path("texts").mkdir()
    for i in range(12):
        Path(f"texts/{i}.md").write_text(WORDS * (i + 1), encoding="utf-8")
    with gzip.open("texts/more.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"body": WORDS}) + "\n" for _ in range(5))
    done = command("train.py", "--data", "texts", "--corpus.text_field", "body", *SMALL, "--out", "run")
    model = trained(done)
    end = model.tokenizer.special_ids["<|endoftext|>"]
    assert (model.bos_token_id, model.eos_token_ids) == (end, (end,))
    assert "<|endoftext|>" not in model.generate(max_new_tokens=200, seed=3)
    wrong = command("train.py", "--data", "texts", *SMALL, "--out", "run2")
    assert (wrong.code, Path("run2").exists()) == (2, False)
    assert "'text'" in wrong.err and "body" in wrong.err and "line 1" in wrong.err


def test_lines_are_examples_and_generation_ends_with_each(command: Command) -> None:
    Path("names.txt").write_text("anna\notto\nhannah\n" * 20, encoding="utf-8")
    done = command(
        "train.py", "--data", "names.txt", "--corpus.format=lines", "--training.batches=epochs", *SMALL,
        "--training.max_steps=150", "--training.learning_rate=0.02", "--training.eval_interval=150",
        "--out", "run",
    )  # fmt: skip
    model = trained(done)
    written = {model.generate(max_new_tokens=16, temperature=0.5, seed=seed) for seed in range(20)}
    assert {"anna", "otto", "hannah"} <= written and len(written) < 8
    batch = model.generate_batch(["<|endoftext|>o", "<|endoftext|>h"], max_new_tokens=16, temperature=0.0)
    assert batch == ["tto", "annah"]


def test_dialogues_train_and_only_the_bot_counts(command: Command) -> None:
    rows = [{"dialog": ["How are you?", "Fine.", "Really?", "Yes."]}, {"dialog": ["Hello.", "Hello to you."]}]
    Path("talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 20), encoding="utf-8")
    flags = ("--data", "talk.jsonl", "--corpus.format=daily-dialog", *SMALL, "--model.block_size=64")
    both = trained(command("train.py", *flags, "--out", "all"), "all")
    bot = command(
        "train.py", *flags, "--out", "bot", "--corpus.bot_only=true", "--training.max_steps=200",
        "--training.learning_rate=0.02", "--training.eval_interval=200",
    )  # fmt: skip
    model = trained(bot, "bot")
    assert both.tokenizer.to_bytes() == model.tokenizer.to_bytes()
    answer = model.generate("<s> User: Hello.<sep> Bot:", max_new_tokens=30, temperature=0.0)
    assert answer == " Hello to you."


@pytest.mark.parametrize("batches", ["random", "epochs"])
def test_a_resumed_run_sees_the_same_batches_bit_for_bit(command: Command, batches: str) -> None:
    Path("text.txt").write_text(WORDS * 40, encoding="utf-8")
    flags = ("--data", "text.txt", f"--training.batches={batches}", *SMALL, "--tokenizer.kind=byte")
    flags += (
        "--training.min_learning_rate=1e-3",
        "--training.learning_rate=1e-3",
    )  # a constant learning rate, whatever max_steps is
    command("train.py", *flags, "--out", "whole", "--training.max_steps=60", "--training.eval_interval=30")
    command("train.py", *flags, "--out", "parts", "--training.max_steps=30", "--training.eval_interval=30")
    shutil.rmtree("cache")  # so the text is tokenized again
    done = command("train.py", "--resume", "parts", "--training.max_steps=60")
    assert done.code == 0, done.err
    assert done.err == ""
    for name, tensor in load_file("whole/last.safetensors").items():
        np.testing.assert_array_equal(load_file("parts/last.safetensors")[name], tensor, err_msg=name)


def test_resuming_with_another_text_is_reported(command: Command, caplog: pytest.LogCaptureFixture) -> None:
    Path("text.txt").write_text(WORDS * 40, encoding="utf-8")
    assert command("train.py", "--data", "text.txt", "--out", "run", *SMALL).code == 0
    Path("text.txt").write_text(WORDS * 39 + "a fox", encoding="utf-8")
    done = command("train.py", "--resume", "run", "--training.max_steps=9")
    assert done.code == 0, done.err
    assert "the text is not the one that run was trained on" in caplog.text


def test_the_text_may_come_from_standard_input(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO((WORDS * 40).encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stream)
    done = command("train.py", "--data", "-", *SMALL)
    trained(done, "runs/stdin")
    assert "from -" in done.out


def test_the_plot_of_a_source_of_known_entropy_shows_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float | None] = []
    monkeypatch.setattr("scratchgpt.runs.folder.plot_loss", lambda *args: drawn.append(args[-1]))
    trained(command("train.py", "--data", "grammar", *SMALL, "--out", "run"))
    floor = drawn[-1]
    assert floor is not None and 0.1 < floor < 1.5  # nats per character


def test_a_second_run_takes_the_tokens_from_the_cache(command: Command, cache: Path) -> None:
    Path("text.txt").write_text(WORDS * 40, encoding="utf-8")
    for out in ("a", "b"):
        assert command("train.py", "--data", "text.txt", "--out", out, *SMALL).code == 0
    assert len(list((cache / "tokens").iterdir())) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data", "fabels"], ["'fabels' does not exist", "'fables'"]),
        (["--data", "fables", "--tokenizer.kind=word"], ["tokenizer.kind", "word", "bpe"]),
        (["--data", "fables", "--tokenizer.kind=bpe", "--tokenizer.vocab_size=100"], ["100", "256"]),
        (["--data", "fables", "--tokenizer.kind=bpe", "--tokenizer.pattern=("], ["'('"]),
        (["--data", "fables", "--tokenizer.kind=bpee"], ["tokenizer.kind is 'bpee'; did you mean 'bpe'?"]),
        (["--data", "fables", "--corpus.format=x"], ["corpus.format is 'x'; expected one of auto, text, "]),
        (["--data", "fables", "--tokenizer.special_tokens=x"], ["special_tokens is 'x'; expected a list"]),
        (["--data", "fables", "--corpus.bot_only=true"], ["bot_only", "daily-dialog", "--corpus.format"]),
        (["--data", "fables", "--training.batches=all"], ["training.batches", "all", "epochs"]),
    ],
)
def test_bad_settings_of_text_are_one_line(command: Command, flags: list[str], words: list[str]) -> None:
    done = command("train.py", *flags, *SMALL, "--out", "run")
    assert (done.code, Path("run").exists()) == (2, False)
    assert done.err.startswith("train.py: error: ") and done.err.count("\n") == 1
    for word in words:
        assert word in done.err


def test_names_in_the_text_are_special_tokens_on_request(command: Command) -> None:
    Path("text.txt").write_text((WORDS + "<|endoftext|>") * 40, encoding="utf-8")
    flags = ("--data", "text.txt", *SMALL, "--tokenizer.special_tokens=[<|endoftext|>]")
    plain = trained(command("train.py", *flags, "--out", "plain"), "plain")
    special = trained(
        command("train.py", *flags, "--out", "special", "--corpus.allow_special=true"), "special"
    )
    assert isinstance(plain.tokenizer, sg.CharTokenizer) and isinstance(special.tokenizer, sg.CharTokenizer)
    assert "|" in plain.tokenizer.symbols
    assert "|" not in special.tokenizer.symbols


def test_a_loaded_tokenizer_works_for_dialogues_and_answers_end_with_the_turn(command: Command) -> None:
    turns = ["Hello.", "Hello to you.", "How are you?", "Fine."]
    row = json.dumps({"dialog": turns}) + "\n"
    Path("talk.jsonl").write_text(row * 40, encoding="utf-8")
    tokenizers.save(ByteTokenizer(), "bytes")
    done = command(
        "train.py", "--data", "talk.jsonl", "--corpus.format=daily-dialog", *SMALL, "--model.block_size=96",
        "--tokenizer.path=bytes", "--training.max_steps=200", "--training.learning_rate=0.02", "--out", "run",
        "--training.eval_interval=200", "--corpus.bot_only=true",
    )  # fmt: skip
    model = trained(done)
    assert "special tokens added to the tokenizer: <s> <sep> </s>" in done.out
    assert dict(model.tokenizer.special_ids) == {"<s>": 256, "<sep>": 257, "</s>": 258}
    assert (model.bos_token_id, model.eos_token_ids) == (256, (258, 257))
    assert model.generate(PROMPT, max_new_tokens=60, temperature=0.0) == " Hello to you."


@pytest.mark.parametrize("flag", ["kind=bpe", "vocab_size=300", "pattern=gpt4", "unk=true"])
def test_settings_for_training_a_tokenizer_are_refused_with_a_loaded_one(command: Command, flag: str) -> None:
    tokenizers.save(ByteTokenizer(), "bytes")
    done = command("train.py", "--data", "fables", "--tokenizer.path=bytes", f"--tokenizer.{flag}")
    assert done.code == 2
    assert f"leave out --tokenizer.{flag.partition('=')[0]}" in done.err


def test_a_run_keeps_its_tokenizer(command: Command) -> None:
    Path("text.txt").write_text(WORDS * 40, encoding="utf-8")
    trained(command("train.py", "--data", "text.txt", *SMALL, "--out", "run"))
    done = command("train.py", "--resume", "run", "--tokenizer.special_tokens=[<a>]")
    assert done.code == 2
    assert "--resume run keeps its tokenizer; leave out --tokenizer.special_tokens" in done.err
