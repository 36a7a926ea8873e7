"""The summary that a run prints before training."""

from scratchgpt.backends import Backend
from scratchgpt.data import Part, n_longer_than_a_row
from scratchgpt.nn.model import GPT
from scratchgpt.training.activation_memory import activation_summary
from scratchgpt.training.settings import RunSettings


def describe(settings: RunSettings, model: GPT, train: Part, val: Part, backend: Backend) -> str:
    """Return the sizes of model and text, the memory for activations, and the backend, on a few lines."""
    config, training = model.config, settings.training
    n_long = n_longer_than_a_row(train, config.block_size) if train.padded else 0
    long = f"{n_long:,} examples are longer than block_size and continue in the next row\n" if n_long else ""
    return (
        f"{model.size:,} parameters: n_layer {config.n_layer}, n_head {config.n_head}, "
        f"n_embd {config.n_embd}, block_size {config.block_size}, vocab_size {config.vocab_size}\n"
        f"{len(train):,} training tokens, {len(val):,} {training.val_label}, from {settings.data}\n"
        f"{long}"
        f"{activation_summary(model, backend, training.batch_size, accumulate=training.accumulate)}\n"
        f"{backend.describe()}"
    )
