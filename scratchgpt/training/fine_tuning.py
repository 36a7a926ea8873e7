"""Fine-tuning: start from the configuration and weights of a trained model."""

import dataclasses

from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.training.held_out import HeldOut
from scratchgpt.training.run import Run
from scratchgpt.training.settings import RunSettings
from scratchgpt.training.state import TrainingState

MAY_DIFFER = ("block_size", "dropout", "init_std")
TABLES = ("wte.weight", "lm_head.weight", "wpe.weight")  # one row per token or position


def model_config(settings: RunSettings, vocab_size: int, source: LanguageModel | None) -> GPTConfig:
    """Return the configuration of a run's model: the settings', or that of the model being fine-tuned.

    Args:
        settings: the run's settings.
        vocab_size: the tokenizer's; if it is larger than the source's, the tables get new rows.
        source: the model to fine-tune, if any.

    Raises:
        InputError: the configuration is invalid, or does not fit the source's weights.
    """
    asked = {name: value for name, value in settings.model.items() if value is not None}
    if source is None:
        return GPTConfig.from_dict({"vocab_size": vocab_size} | asked)
    theirs, name = source.model.config, settings.init_from
    for field, value in dataclasses.asdict(GPTConfig.from_dict(dataclasses.asdict(theirs) | asked)).items():
        expected = getattr(theirs, field)
        if field not in (*MAY_DIFFER, "vocab_size") and value != expected:
            raise InputError(
                f"model.{field} is {value!r}, but {name} has {expected!r}; fine-tuning cannot change it"
            )
    if theirs.adaptive_cutoffs and vocab_size > theirs.vocab_size:
        raise InputError(
            f"the tokenizer has {vocab_size:,} tokens, but {name} has only {theirs.vocab_size:,}, and its "
            "adaptive head cannot grow; do not add special tokens"
        )
    vocab_size = max(theirs.vocab_size, vocab_size)
    if asked.get("vocab_size", vocab_size) != vocab_size:
        raise InputError(
            f"model.vocab_size is {asked['vocab_size']!r}, but {name} and the tokenizer need {vocab_size}; "
            "leave it out"
        )
    changes = {field: asked[field] for field in MAY_DIFFER if field in asked}
    return dataclasses.replace(theirs, vocab_size=vocab_size, **changes)


def initial_weights(model: GPT, seed: int, source: LanguageModel | None = None) -> ParamVector:
    """Return the weights that training starts from, in host memory: random, or copied from a source.

    Embedding tables keep their random rows for tokens and positions that the source does not have.

    Args:
        model: the structure; with a source, built from `model_config`.
        seed: random seed of the weights.
        source: the model to fine-tune, if any.
    """
    params = model.init(seed)
    if source:
        theirs = source.params.map(source.backend.to_host)
        for name, view in params.items():
            n = min(len(view), len(theirs[name])) if name in TABLES else len(view)
            view[:n] = theirs[name][:n]
    return params


def save_starting_point(run: Run, state: TrainingState, held_out: HeldOut, name: str) -> str:
    """Evaluate the model to fine-tune and save it as the best so far; return a line with its loss."""
    metrics = held_out.evaluate(state.eval_model())
    run.record.log_evaluation(0, held_out.label, **metrics)
    run.save(state, 0, metrics["val_loss"])
    return f"{name} starts with a {held_out.label} loss of {metrics['val_loss']:.4f}"
