"""The settings of a run, one class per section of the YAML file.

`train.py --help` prints the descriptions of most attributes, so they say null, YAML's word for None.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from scratchgpt.corpora.corpus import Errors, Format
from scratchgpt.errors import InputError
from scratchgpt.generation.settings import GenerationSettings as GenerationSettings
from scratchgpt.optim import default_hyperparameters
from scratchgpt.tokenizers.training import Kind
from scratchgpt.training.loggers import logger_names
from scratchgpt.utils.validation import check_types


@dataclass(frozen=True)
class CorpusSettings:
    """How to read the text.

    Attributes:
        format: format of the files; "auto" decides by their names, "lines" makes every line an example.
        text_field: in JSON Lines, the field with the text.
        errors: how to handle bytes that are not valid UTF-8.
        bot_only: in dialogues, compute the loss on the bot's turns only.
        allow_special: parse names of special tokens in the text as these tokens, not as characters.
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
    """Which tokenizer to load, or how to train one on the text.

    Attributes:
        path: file or folder of an existing tokenizer; missing special tokens are added. null: train one.
        kind: kind of tokenizer to train.
        vocab_size: vocabulary size for "bpe" and "sentencepiece", special tokens included.
        pattern: how "bpe" splits text before merging: "gpt2", "gpt4" or a regular expression (package regex).
        special_tokens: special tokens to add to those that the text needs.
        pad: add <pad>, for padding; no text encodes to it.
        unk: add <unk>, for characters that are out of vocabulary; "char" only.
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
        expected = f"false: {self.kind!r} encodes every character"
        _expect(self, "unk", not self.unk or self.kind == "char", expected)


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        seed: random seed of the initial weights, batches and dropout.
        max_steps: number of optimizer steps, unless max_epochs or max_tokens is set.
        max_epochs: train for this many passes over the text, e.g. 0.5; null: max_steps decides.
        max_tokens: train on this many tokens, padding included; null: max_steps decides. If max_epochs is
            set, too, whichever is reached first decides.
        batch_size: sequences of block_size tokens per optimizer step, in total; accumulate splits them.
        batches: how to draw sequences: "random" windows of the text, or "epochs", each once per epoch.
        accumulate: gradient accumulation: split the batch_size sequences of a step into this many parts,
            computed one after the other.
        recompute: activation checkpointing: recompute each block's activations in backward to save memory.
        optimizer: "adamw", "lion" or "muon".
        learning_rate: peak learning rate.
        min_learning_rate: learning rate at the end of the schedule.
        schedule: learning rate schedule: "constant", "linear", "cosine" or "wsd" (warm-up, stable, decay).
        warmup_steps: steps of linear learning rate warm-up.
        weight_decay: decoupled weight decay, on matrices only; null: the optimizer's default (0.1, Lion 0.3).
        beta1: decay of the running mean of the gradient; for Lion, the weight of the momentum in the update
            direction; null: the optimizer's default (0.9).
        beta2: decay of the running mean of the squared gradient; for Lion, of the gradient; null: the
            optimizer's default (0.95, Lion 0.99).
        adam_eps: AdamW's epsilon, also Muon's; null: the optimizer's default (1e-8). Lion has none.
        ema_decay: decay of an EMA of the weights, used by evaluations and the best checkpoint; null: no EMA.
        on_not_finite: what to do if a step's loss or gradient is NaN or inf: "stop", or "skip" the step.
        patience: early stopping after this many evaluations without a new best validation loss; null: never.
        max_minutes: time limit of this process, after which it saves and stops; null: none.
        grad_clip: clip the global gradient norm to this value; null: no clipping.
        val_fraction: share of the text to hold out, taken from its end; 0: evaluate on the training text.
        eval_interval: steps between evaluations; each also saves a checkpoint.
        keep_checkpoints: also keep the N most recent training states, as step-*.safetensors.
        sample_tokens: length in tokens of the sample generated at every evaluation; 0: no sample.
        log_interval: steps between readings of the loss; a GPU is synchronized only then.
        eval_tokens: evaluate on this many tokens, in evenly spaced sequences (at least one); null: all.
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
    weight_decay: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    adam_eps: float | None = None
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
        not_negative = ("warmup_steps", "learning_rate", "min_learning_rate")
        for name in (*not_negative, "keep_checkpoints", "sample_tokens"):
            _expect(self, name, getattr(self, name) >= 0, "at least 0")
        _expect(self, "val_fraction", 0 <= self.val_fraction < 1, "a number in [0, 1)")

        def expect_if_set(names: tuple[str, ...], is_good: Callable[[Any], bool], expected: str) -> None:
            for name in names:
                value = getattr(self, name)
                _expect(self, name, value is None or is_good(value), f"{expected}, or null")

        expect_if_set(("weight_decay",), lambda value: value >= 0, "at least 0")
        expect_if_set(("beta1", "beta2", "ema_decay"), lambda value: 0 <= value < 1, "a number in [0, 1)")
        expect_if_set(("eval_tokens", "patience"), lambda value: value >= 1, "at least 1")
        positive = ("adam_eps", "grad_clip", "max_epochs", "max_tokens", "max_minutes")
        expect_if_set(positive, lambda value: value > 0, "a positive number")

    @property
    def val_label(self) -> str:
        """The name of the text that a run is evaluated on, for messages and plots."""
        return "validation" if self.val_fraction else "whole-text"

    @property
    def schedule_settings(self) -> dict[str, Any]:
        """The keyword arguments of `optim.learning_rate`."""
        return {
            "peak": self.learning_rate,
            "floor": self.min_learning_rate,
            "warmup_steps": self.warmup_steps,
            "max_steps": self.max_steps,
        }

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The optimizer's betas, eps (unless it has none) and weight decay: as set, else its own defaults."""
        defaults = default_hyperparameters(self.optimizer)
        beta1, beta2 = defaults["betas"]
        chosen = {
            "betas": (_first_set(self.beta1, beta1), _first_set(self.beta2, beta2)),
            "eps": self.adam_eps,
            "weight_decay": self.weight_decay,
        }
        return {name: _first_set(chosen[name], default) for name, default in defaults.items()}

    def with_optimizer_defaults(self) -> "TrainingSettings":
        """Return the settings with the optimizer's own defaults in place of None, for the record of a run."""
        chosen = self.hyperparameters
        beta1, beta2 = chosen["betas"]
        return dataclasses.replace(
            self,
            beta1=beta1,
            beta2=beta2,
            adam_eps=chosen.get("eps"),
            weight_decay=chosen["weight_decay"],
        )


@dataclass(frozen=True)
class RunSettings:
    """All settings of `train.py`.

    Attributes:
        data: the text to train on: a built-in set, a file, a folder, a glob pattern, or "-" (standard input).
        out: folder of the run; None means runs/NAME, where NAME is the name of the text.
        backend: "numpy", "reference" or "cupy".
        threads: number of CPU threads; None means one per core.
        precision: number format on a GPU: "float32", "tf32", "bf16" or "float16".
        graph: capture the training step as a CUDA graph and replay it.
        device: index of the GPU; None means the first.
        resume: folder of a run to resume, or None.
        init_from: a model to fine-tune (anything `sg.load` takes), or None. Its configuration and tokenizer
            are kept.
        logger: loggers that also receive the metrics: "none", "tensorboard", "wandb", or "tensorboard,wandb".
        corpus: how to read the text.
        tokenizer: how to tokenize it.
        model: fields of GPTConfig; a vocab_size of None means the tokenizer's. With `init_from`, only those
            that the user has set.
        training: how to train.
        generation: how to generate samples.
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
    def backend_settings(self) -> dict[str, Any]:
        """The keyword arguments of `get_backend`."""
        return {name: getattr(self, name) for name in ("threads", "precision", "graph", "device")}

    def as_yaml(self) -> str:
        """Return the settings as a YAML file for `--config`; `resume`, meant for one command, is left out."""
        content = dataclasses.asdict(self)
        del content["resume"]
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _first_set(chosen: Any, default: Any) -> Any:
    return default if chosen is None else chosen


def _expect(settings: object, name: str, good: bool, expected: str) -> None:
    if not good:
        section = type(settings).__name__.removesuffix("Settings").lower()
        raise InputError(f"{section}.{name} is {getattr(settings, name)!r}; expected {expected}")
