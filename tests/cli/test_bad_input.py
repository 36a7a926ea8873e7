"""Bad input on the command line: exit code 2, one readable line, nothing half-written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import Outcome
from tests.support.runs import copy_run, train_run

Command = Callable[..., Outcome]
TEXT = "the quick brown fox jumps over the lazy dog. " * 40
SMALL = [
    *("--model.block_size=16", "--model.n_layer=1", "--model.n_head=2", "--model.n_embd=16"),
    *("--training.max_steps=2", "--training.batch_size=2", "--generation.max_new_tokens=4"),
]


def refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err, outcome.err


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["missing.txt' does not exist: no file, folder or built-in text"]),
        (b"", ["is empty; expected text"]),
        (b"too short", ["the text has 9 tokens, and its training part has 8", "expected at least 16"]),
        (b"x" * 100, ["its validation part has 10", "--training.val_fraction 0"]),
        (b"abc \xff" + b"x" * 999, ["byte 0xff at offset 4", "expected UTF-8"]),
    ],
)
def test_bad_text(command: Command, tmp_path: Path, content: bytes | None, words: list[str]) -> None:
    path = tmp_path / ("missing.txt" if content is None else "given.txt")
    if content is not None:
        path.write_bytes(content)
    refused(command("train.py", "--data", str(path), "--out", "run", *SMALL), "train.py: error:", *words)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model.n_embd=30", "--model.n_head=4"], ["n_head must divide n_embd"]),
        (["--model.n_layers=2"], ["unknown option '--model.n_layers'; did you mean '--model.n_layer'?"]),
        (["--training.learning_rte=1"], ["did you mean '--training.learning_rate'?"]),
        (["--dta=x"], ["unknown option '--dta'; did you mean '--data'?"]),
        (["--training.max_steps=many"], ["--training.max_steps is 'many'; expected a whole number"]),
        (["--model.activation=relu"], ["--model.activation is 'relu'; expected gelu_tanh or gelu_exact"]),
        (["--model.bias=maybe"], ["--model.bias is 'maybe'; expected true or false"]),
        (["--training.batch_size=0"], ["training.batch_size is 0; expected at least 1"]),
        (["--training.val_fraction=1.5"], ["training.val_fraction is 1.5"]),
        (["--generation.temperature=-1"], ["generation.temperature is -1"]),
        (["--model.vocab_size=5"], ["vocab_size = 5", "28 tokens"]),
        (["--backend=torch"], ["backend is 'torch'; expected one of reference, numpy, cupy"]),
        (["--threads=0"], ["threads is 0"]),
        (["--config=nothing.yaml"], ["nothing.yaml does not exist"]),
        (["--resume=nowhere"], ["nowhere is not a run; expected the folder of a run to resume"]),
        (["--generation.prompt=Zebra"], ["'Z' (U+005A) at line 1, column 1"]),
        (["--generation.prompt=the quick brown fox"], ["prompt has 19 tokens"]),
        (
            ["--init-from=run", "--tokenizer.kind=bpe"],
            ["--init-from run keeps its tokenizer; leave out --tok"],
        ),
        (
            ["--tokenizer.path=x", "--tokenizer.unk=true"],
            ["--tokenizer.path x loads a whole tokenizer; leave"],
        ),
        (["--mine=4,5"], ["--mine is '4,5', but this option no longer exists", "python -m lessons train"]),
    ],
)
def test_bad_flags(command: Command, text: str, flags: list[str], words: list[str]) -> None:
    refused(command("train.py", "--data", text, "--out", "run", *SMALL, *flags), *words)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("model: {n_layers: 3}", ["unknown option 'model.n_layers'; did you mean 'model.n_layer'?"]),
        ("modle: {n_layer: 3}", ["unknown option 'modle'; did you mean 'model'?"]),
        ("training: {max_steps: soon}", ["training.max_steps is 'soon'; expected a whole number"]),
        ("training: {max_steps: [3]}", ["training.max_steps is [3]; expected a whole number"]),
        ("training: 3", ["section training is 3; expected a mapping of options"]),
        ("training: [1, 2", ["given.yaml is not valid YAML"]),
        ("colour: blue", ["unknown option 'colour'; train.py --help lists all options"]),
        ("mine: 4,5", ["mine is '4,5', but this option no longer exists", "python -m lessons train 4,5,8"]),
        ("resume: runs/x", ["resume is 'runs/x'; pass it on the command line instead"]),
    ],
)
def test_bad_configuration(command: Command, content: str, words: list[str]) -> None:
    Path("given.yaml").write_text(content, encoding="utf-8")
    refused(
        command("train.py", "--config", "given.yaml", "--out", "run"), "train.py: error: given.yaml", *words
    )
    assert not Path("run").exists()


def test_an_unwritable_output_folder(command: Command, text: str) -> None:
    Path("file").write_text("in the way")
    refused(command("train.py", "--data", text, "--out", "file/run", *SMALL), "run", "cannot write")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(tmp_path_factory.mktemp("trained"), "text.txt", TEXT, *SMALL)


@pytest.fixture
def run(trained: Path, command: Command, tmp_path: Path) -> Path:
    """A copy of the trained run, in the folder where the commands of this test run."""
    copy_run(trained, tmp_path)
    return Path("run")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prompt", "Zebra"], ["'Z'", "is not in the tokenizer's vocabulary"]),
        (["--prompt", "the quick brown fox"], ["the prompt has 19 tokens; expected 1 to block_size = 16"]),
        (["--prompt", ""], ["the prompt has no tokens"]),
        (["--temperature", "-1"], ["--temperature is -1"]),
        (["--top-k", "-1"], ["--top-k is -1"]),
        (["--num-samples", "0"], ["--num-samples is 0; expected at least 1"]),
        (["--checkpoint", "middle"], ["--checkpoint is 'middle'; expected best or last"]),
        (["--tempreature", "1"], ["unknown option '--tempreature'; did you mean '--temperature'?"]),
        (["--seed", "x"], ["--seed is 'x'; expected a whole number or null"]),
        (["--seed", "-1"], ["seed is -1; expected a whole number of at least 0"]),
        (["another"], ["unexpected argument 'another'"]),
    ],
)
def test_bad_sampling(command: Command, run: Path, flags: list[str], words: list[str]) -> None:
    outcome = command("sample.py", str(run), *flags)
    refused(outcome, "sample.py: error:", *words)


def test_sampling_without_a_run(command: Command) -> None:
    refused(command("sample.py"), "there is no run in 'runs'; train one first")
    refused(command("sample.py", "nowhere"), "nowhere is not a run")


def test_damaged_runs(command: Command, run: Path) -> None:
    checkpoint = run / "best.safetensors"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    refused(command("sample.py", str(run)), "best.safetensors is corrupted or truncated")
    checkpoint.write_bytes(whole)

    config = run / "config.json"
    good = config.read_text(encoding="utf-8")
    config.write_text(good.replace('"n_embd": 16', '"n_embd": 32'), encoding="utf-8")
    refused(command("sample.py", str(run)), "'wte.weight' has shape", "this model's has shape")
    config.write_text(good[:20], encoding="utf-8")
    refused(command("sample.py", str(run)), "config.json is not valid JSON")
    config.write_text(good, encoding="utf-8")

    (run / "last.safetensors").unlink()
    refused(
        command("train.py", "--resume", str(run), "--training.max_steps=9"), "last.safetensors does not exist"
    )
    assert command("sample.py", str(run)).code == 0
