"""Fine-tuning: `train.py --init-from` starts from another model's weights."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import scratchgpt as sg
from scratchgpt.checkpoint import load_weights
from scratchgpt.errors import InputError
from scratchgpt.training.fine_tuning import initial_weights, model_config
from scratchgpt.training.settings import RunSettings
from tests.support.project import Outcome

Command = Callable[..., Outcome]
SHAPE = (
    "--model.block_size=16", "--model.n_layer=1", "--model.n_embd=16", "--model.n_head=2",
)  # fmt: skip
SHORT = (
    "--training.max_steps=6", "--training.eval_interval=3", "--training.batch_size=4",
    "--training.eval_tokens=64", "--generation.max_new_tokens=12", "--training.warmup_steps=0",
)  # fmt: skip
WORDS = "the fox saw a crow and the crow saw a fox but nobody saw the cheese "
CONFIG = sg.GPTConfig(vocab_size=8, block_size=6, n_layer=2, n_head=2, n_embd=4, tie_weights=False)


def language_model(config: sg.GPTConfig = CONFIG) -> sg.LanguageModel:
    model = sg.GPT(config)
    tokenizer = sg.CharTokenizer("abcdefgh"[: config.vocab_size])
    return sg.LanguageModel(model, model.init(5), tokenizer, sg.get_backend("reference"))


def settings(**model: object) -> RunSettings:
    return RunSettings(data="x", init_from="runs/a", model=model)


@pytest.fixture
def first(command: Command) -> Path:
    """A run to fine-tune."""
    Path("a.txt").write_text(WORDS * 40, encoding="utf-8")
    done = command("train.py", "--data", "a.txt", "--out", "a", *SHAPE, *SHORT)
    assert done.code == 0, done.err
    return Path("a")


def test_training_begins_with_the_weights_shape_and_tokenizer_of_a_run(command: Command, first: Path) -> None:
    Path("b.txt").write_text("a crow saw the cheese " * 60, encoding="utf-8")
    lr = ("--training.learning_rate=0", "--training.min_learning_rate=0", "--training.weight_decay=0")
    done = command("train.py", "--init-from", "a", "--data", "b.txt", "--out", "b", *SHORT, *lr)
    assert done.code == 0, done.err
    a, b = sg.load("a"), sg.load("b")
    assert a.model.config == b.model.config
    assert a.tokenizer.to_bytes() == b.tokenizer.to_bytes()
    assert np.array_equal(a.params.flat, b.params.flat)
    saved = yaml.safe_load(Path("b/run.yaml").read_text(encoding="utf-8"))
    assert saved["init_from"] == str(first.absolute())
    assert saved["model"]["n_embd"] == 16


def test_a_fine_tuned_run_is_resumed_exactly_and_repeated_from_its_settings(
    command: Command, first: Path
) -> None:
    flags = ("--init-from", "a", "--data", "a.txt", *SHORT, "--model.dropout=0.1")
    assert command("train.py", *flags, "--out", "whole").code == 0
    assert command("train.py", *flags, "--out", "half", "--training.max_minutes=1e-9").code == 0
    Path("a").rename("elsewhere")  # a resumed run has its own weights
    done = command("train.py", "--resume", "half", "--training.max_minutes=null")
    assert done.code == 0, done.err
    Path("elsewhere").rename("a")
    assert command("train.py", "--config", "whole/run.yaml", "--out", "again").code == 0
    model = sg.load("whole").model
    weights = [load_weights(f"{name}/best.safetensors", model)[0].flat for name in ("whole", "half", "again")]
    assert np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[0], weights[2])


def test_special_tokens_that_the_tokenizer_lacks_become_new_rows(command: Command, first: Path) -> None:
    Path("c").mkdir()
    for i in range(12):
        Path(f"c/{i}.txt").write_text(WORDS * 3, encoding="utf-8")
    done = command("train.py", "--init-from", "a", "--data", "c", "--out", "c-run", *SHORT)
    assert done.code == 0, done.err
    assert "special tokens added to the tokenizer: <|endoftext|>" in done.out
    assert sg.load("c-run").model.config.vocab_size == sg.load("a").model.config.vocab_size + 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--init-from", "nowhere"], "nowhere"),
        (
            ["--init-from", "a", "--model.n_embd=32"],
            r"model.n_embd is 32, but .*a has 16; fine-tuning cannot change it",
        ),
        (["--init-from", "a", "--tokenizer.kind=bpe"], "keeps its tokenizer; leave out --tokenizer.kind"),
        (["--init-from", "a", "--resume", "a"], "in its folder; leave out --init-from"),
        (["--init-from", "a", "--data", "other.txt"], "character"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_errors(
    command: Command, first: Path, flags: list[str], words: str
) -> None:
    Path("other.txt").write_text("Ω" * 2000, encoding="utf-8")
    out = () if "--resume" in flags else ("--out", "b")
    done = command("train.py", "--data", "a.txt", *out, *SHORT, *flags)
    assert (done.code, Path("b").exists()) == (2, False)
    assert re.search(words, done.err)
    assert "Traceback" not in done.err


def test_new_rows_of_a_table_are_random_and_surplus_rows_are_dropped() -> None:
    source = language_model()
    config = model_config(settings(block_size=4, dropout=0.25), 10, source)
    assert (config.vocab_size, config.block_size, config.dropout) == (10, 4, 0.25)
    model = sg.GPT(config)
    fresh, params = model.init(1), initial_weights(model, 1, source)
    for name, view in params.items():
        theirs = source.params[name]
        n = {"wte.weight": 8, "lm_head.weight": 8, "wpe.weight": 4}.get(name, len(view))
        assert np.array_equal(view[:n], theirs[:n])
        assert np.array_equal(view[n:], fresh[name][n:])
    longer = initial_weights(sg.GPT(model_config(settings(block_size=9), 8, source)), 1, source)
    assert np.array_equal(longer["wpe.weight"][:6], source.params["wpe.weight"])
    assert len(longer["wpe.weight"]) == 9 and longer["wpe.weight"][6:].std() > 0


def test_a_vocabulary_with_unused_rows_is_kept() -> None:
    assert model_config(settings(), 5, language_model()).vocab_size == 8


def test_without_a_source_all_weights_are_random() -> None:
    plain = RunSettings(
        data="x", model={"block_size": 6, "n_layer": 1, "n_head": 1, "n_embd": 4, "n_inner": None}
    )
    config = model_config(plain, 7, None)
    assert (config.vocab_size, config.n_inner) == (7, None)
    model = sg.GPT(config)
    assert np.array_equal(initial_weights(model, 3).flat, model.init(3).flat)


def test_an_adaptive_head_cannot_grow() -> None:
    config = sg.GPTConfig(
        vocab_size=8, block_size=6, n_layer=1, n_head=1, n_embd=4, tie_weights=False, adaptive_cutoffs=(4,)
    )
    with pytest.raises(
        InputError, match="the tokenizer has 9 tokens, but runs/a has only 8, and its adaptive"
    ):
        model_config(settings(), 9, language_model(config))


def test_the_starting_point_is_evaluated_and_remains_the_best_until_it_is_beaten(
    command: Command, first: Path
) -> None:
    ruin = ("--training.learning_rate=5", "--training.min_learning_rate=5", "--training.grad_clip=null")
    done = command("train.py", "--init-from", "a", "--data", "a.txt", "--out", "b", *SHORT, *ruin)
    assert done.code == 0, done.err
    assert "starts with a validation loss of" in done.out
    assert "at step 0 of 6" in done.out
    assert np.array_equal(sg.load("a").params.flat, sg.load("b").params.flat)
    assert sg.load("b", checkpoint="last").params.flat.std() > sg.load("a").params.flat.std()
    records = [json.loads(line) for line in Path("b/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [r["step"] for r in records if "val_loss" in r] == [0, 3, 6]


def test_without_a_configuration_the_learning_rate_is_small(command: Command, first: Path) -> None:
    done = command("train.py", "--init-from", "a", "--data", "a.txt", "--print-config")
    settings = yaml.safe_load(done.out)
    assert settings["training"]["learning_rate"] == 3e-4
    assert settings["model"] == {}  # the source's


@pytest.mark.parametrize("vocab_size", [4, 500])
def test_another_vocabulary_size_is_refused(vocab_size: int) -> None:
    with pytest.raises(
        InputError, match=rf"vocab_size is {vocab_size}, but runs/a and the tokenizer need 8; leave"
    ):
        model_config(settings(vocab_size=vocab_size), 8, language_model())
