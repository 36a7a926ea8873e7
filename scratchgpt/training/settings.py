"""The settings of a run, section by section: what a YAML file and the command line can say."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from scratchgpt.corpora.corpus import Errors, Format
from scratchgpt.errors import InputError
from scratchgpt.generation.settings import GenerationSettings as GenerationSettings
from scratchgpt.tokenizers.training import Kind
from scratchgpt.training.loggers import logger_names
from scratchgpt.utils.validation import check_types


@dataclass(frozen=True)
class CorpusSettings:
    """How the text is read.

    Attributes:
        format: what the files hold; "auto" goes by their names, "lines" is one example per line.
        text_field: the field of JSON lines that holds the text.
        errors: what becomes of bytes that are not UTF-8.
        bot_only: whether in dialogues only what the bot says counts in the loss.
        allow_special: whether the name of a special token in the text is that token, instead of characters.
    """

    format: Format = "auto"
    text_field: str = "text"
    errors: Errors = "strict"
    bot_only: bool = False
    allow_special: bool = False

    def __post_init__(self) -> None:
        check_types(self, "corpus.")


@dataclass(frozen=True)
class TokenizerSettings:
    """Which tokenizer: one that exists, or one that is made for the text.

    Attributes:
        path: a tokenizer to load, as a file or a folder; null makes one for the text. It keeps its ids, and
            gets the special tokens that the text needs and it lacks.
        kind: which one to make.
        vocab_size: of "bpe" and "sentencepiece", special tokens included.
        pattern: how "bpe" splits text: "gpt2", "gpt4", or a regular expression of the package regex.
        special_tokens: names of special tokens, besides those that the text needs.
        pad: add <pad>, which no text produces.
        unk: add <unk>, which stands for characters that the training text lacks; of "char" only.
    """

    path: str | None = None
    kind: Kind = "char"
    vocab_size: int = 1024
    pattern: str = "gpt2"
    special_tokens: list[str] = field(default_factory=list)
    pad: bool = False
    unk: bool = False

    def __post_init__(self) -> None:
        check_types(self, "tokenizer.")
        for name in self.special_tokens:
            good = isinstance(name, str) and len(name) > 1
            _expect(self, "special_tokens", good, "names of two or more characters")
        _expect(self, "unk", not self.unk or self.kind == "char", "false; this kind knows every character")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        seed: determines initial weights, batches and dropout.
        max_steps: optimizer steps in all, unless one of the next two says how many.
        max_epochs: so many times the training text; may be a fraction. null: max_steps decides.
        max_tokens: so many tokens of batches, padding included; with max_epochs, what is reached first.
            null: max_steps decides.
        batch_size: windows of text per step.
        batches: how they are chosen: "random" windows, or "epochs", in which each one comes exactly once.
        accumulate: parts that a batch is cut into, one after the other, to save memory.
        recompute: whether backward computes activations of a block again, to save memory.
        optimizer: "adamw", "lion" or "muon".
        learning_rate: the peak of the schedule.
        min_learning_rate: where the schedule ends.
        schedule: how the rate goes from one to the other: "constant", "linear", "cosine" or "wsd".
        warmup_steps: steps of linear warm-up.
        weight_decay: decoupled decay, on matrices only.
        beta1: decay of the mean gradient.
        beta2: decay of the mean squared gradient.
        adam_eps: AdamW's epsilon; Lion has none.
        ema_decay: of the running mean of the weights, which is then what is evaluated and kept; null: none.
        on_not_finite: what follows a step whose loss or gradient is not finite: "stop", or "skip" it.
        patience: stop after so many evaluations that were not the best; null: never.
        max_minutes: stop after so many minutes of this process; null: never.
        grad_clip: largest global gradient norm; null leaves gradients alone.
        val_fraction: share of the text, at its end, that is held out; 0 evaluates on the training text.
        eval_interval: steps between evaluations, each followed by a checkpoint.
        keep_checkpoints: how many evaluations' training states to keep besides the last.
        sample_tokens: write a sample of so many tokens at every evaluation; 0: none.
        log_interval: steps between readings of the loss; a GPU is waited for only then.
        eval_tokens: evaluate on so many tokens, in whole windows (at least one) over the text; null: all.
    """

    seed: int = 1337
    max_steps: int = 1000
    max_epochs: float | None = None
    max_tokens: int | None = None
    batch_size: int = 12
    batches: Literal["random", "epochs"] = "random"
    accumulate: int = 1
    recompute: bool = False
    optimizer: Literal["adamw", "lion", "muon"] = "adamw"
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-4
    schedule: Literal["constant", "linear", "cosine", "wsd"] = "cosine"
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    adam_eps: float = 1e-8
    ema_decay: float | None = None
    on_not_finite: Literal["stop", "skip"] = "stop"
    patience: int | None = None
    max_minutes: float | None = None
    grad_clip: float | None = 1.0
    val_fraction: float = 0.1
    eval_interval: int = 100
    keep_checkpoints: int = 0
    sample_tokens: int = 60
    log_interval: int = 10
    eval_tokens: int | None = None

    def __post_init__(self) -> None:
        check_types(self, "training.")
        for name in ("max_steps", "batch_size", "accumulate", "eval_interval", "log_interval"):
            _expect(self, name, 1 <= getattr(self, name) < 2**31, "at least 1, and less than 2**31")
        _expect(self, "seed", 0 <= self.seed < 2**63, "a whole number in [0, 2**63)")
        not_negative = ("warmup_steps", "weight_decay", "learning_rate", "min_learning_rate")
        for name in (*not_negative, "keep_checkpoints", "sample_tokens"):
            _expect(self, name, getattr(self, name) >= 0, "at least 0")
        for name in ("beta1", "beta2", "val_fraction"):
            _expect(self, name, 0 <= getattr(self, name) < 1, "a number in [0, 1)")
        decay = self.ema_decay
        _expect(self, "ema_decay", decay is None or 0 <= decay < 1, "a number in [0, 1), or null")
        _expect(self, "adam_eps", self.adam_eps > 0, "a positive number")
        _expect(self, "grad_clip", self.grad_clip is None or self.grad_clip > 0, "a positive number, or null")
        _expect(self, "eval_tokens", self.eval_tokens is None or self.eval_tokens >= 1, "at least 1, or null")

        _expect(self, "patience", self.patience is None or self.patience >= 1, "at least 1, or null")
        for name in ("max_epochs", "max_tokens", "max_minutes"):
            value = getattr(self, name)
            _expect(self, name, value is None or value > 0, "a positive number, or null")

    @property
    def rates(self) -> dict[str, Any]:
        """What `optim.learning_rate` takes of these."""
        return {
            "peak": self.learning_rate,
            "floor": self.min_learning_rate,
            "warmup_steps": self.warmup_steps,
            "max_steps": self.max_steps,
        }

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What the optimizer takes of these."""
        eps = None if self.optimizer == "lion" else self.adam_eps
        return {"betas": (self.beta1, self.beta2), "eps": eps, "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class RunSettings:
    """Everything that `train.py` can be told.

    Attributes:
        data: the text to train on: a built-in set, a file, a folder, a pattern of names, or "-".
        out: the folder of the run; None means one in runs/ with the name of the text.
        backend: who computes, "numpy", "reference" or "cupy".
        threads: how many threads it may use on a CPU; None means all cores.
        precision: of a GPU's arithmetic, "float32", "tf32", "bf16" or "float16".
        graph: whether a GPU records the training step once and replays it.
        device: the number of the GPU; None means the first.
        resume: the folder of a run to go on with, or None.
        init_from: a model to begin with, as `sg.load` takes it, or None; it brings its shape and tokenizer.
        logger: who else hears of a run while it trains: "none", "tensorboard", "wandb", or both with a comma.
        corpus: how the text is read.
        tokenizer: how text becomes tokens.
        model: fields of GPTConfig; a vocab_size of None means the tokenizer's. With `init_from` only those
            that somebody has set.
        training: how to train.
        generation: how to write the sample at the end.
    """

    data: str
    out: str | None = None
    backend: str = "numpy"
    threads: int | None = None
    precision: str = "float32"
    graph: bool = False
    device: int | None = None
    resume: str | None = None
    init_from: str | None = None
    logger: str = "none"
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    model: dict[str, Any] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)

    def __post_init__(self) -> None:
        logger_names(self.logger)

    @property
    def computing(self) -> dict[str, Any]:
        """What `get_backend` takes of these, besides the name."""
        return {name: getattr(self, name) for name in ("threads", "precision", "graph", "device")}

    def as_yaml(self) -> str:
        """Return all settings as a file for `--config`, but for `resume`, which belongs to one command."""
        content = dataclasses.asdict(self)
        del content["resume"]
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _expect(settings: object, name: str, good: bool, expected: str) -> None:
    if not good:
        section = type(settings).__name__.removesuffix("Settings").lower()
        raise InputError(f"{section}.{name} is {getattr(settings, name)!r}; expected {expected}")
