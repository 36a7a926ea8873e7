"""Going on from a trained model with another text: its shape and its weights."""

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
TABLES = ("wte.weight", "lm_head.weight", "wpe.weight")  # a row for each token or position


def shape_of(settings: RunSettings, vocab_size: int, source: LanguageModel | None) -> GPTConfig:
    """Return the shape of a run's model: as the settings say, or that of the model that it begins with.

    Args:
        settings: what somebody has asked for.
        vocab_size: of the tokenizer; a vocabulary larger than the source's gets new rows.
        source: the model that the run begins with, if any.

    Raises:
        InputError: a bad shape, or one that does not fit the source's weights.
    """
    asked = {name: value for name, value in settings.model.items() if value is not None}
    if source is None:
        return GPTConfig.from_dict({"vocab_size": vocab_size} | asked)
    theirs, name = source.model.config, settings.init_from
    for field, value in dataclasses.asdict(GPTConfig.from_dict(dataclasses.asdict(theirs) | asked)).items():
        expected = getattr(theirs, field)
        if field not in (*MAY_DIFFER, "vocab_size") and value != expected:
            raise InputError(f"model.{field} is {value!r}; expected {expected!r}, as {name} has it")
    if theirs.adaptive_cutoffs and vocab_size > theirs.vocab_size:
        raise InputError(
            f"the tokenizer has {vocab_size:,} tokens; expected at most {theirs.vocab_size:,}, as many as "
            f"{name} has, whose adaptive head cannot grow"
        )
    vocab_size = max(theirs.vocab_size, vocab_size)
    if asked.get("vocab_size", vocab_size) != vocab_size:
        raise InputError(
            f"model.vocab_size is {asked['vocab_size']!r}; expected nothing, or {vocab_size}, as {name} and "
            "the tokenizer need"
        )
    changes = {field: asked[field] for field in MAY_DIFFER if field in asked}
    return dataclasses.replace(theirs, vocab_size=vocab_size, **changes)


def first_weights(model: GPT, seed: int, source: LanguageModel | None = None) -> ParamVector:
    """Return the weights, in host memory, that training begins with: freshly drawn, or those of a source.

    Tables with a row for each token or position keep the fresh rows where the source has none.

    Args:
        model: the structure; with a source, one whose shape is that of `shape_of`.
        seed: draws the weights.
        source: the model to go on from, if any.
    """
    params = model.init(seed)
    if source:
        theirs = source.params.map(source.backend.to_host)
        for name, view in params.items():
            n = min(len(view), len(theirs[name])) if name in TABLES else len(view)
            view[:n] = theirs[name][:n]
    return params


def keep_start(run: Run, state: TrainingState, held_out: HeldOut, name: str) -> str:
    """Evaluate and save what training begins with, the best until it is beaten; return how good it is."""
    figures = held_out.evaluate(state.evaluated())
    run.record.log_evaluation(0, held_out.label, **figures)
    run.save(state, 0, figures["val_loss"])
    return f"{name} begins with a {held_out.label} loss of {figures['val_loss']:.4f}"
