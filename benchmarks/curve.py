"""Training against the clock: the validation loss over the seconds that training alone took."""

import time
from typing import NamedTuple, Protocol

import scratchgpt as sg
from scratchgpt import data
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.shapes import Array
from scratchgpt.training.settings import RunSettings, TrainingSettings
from scratchgpt.utils.files import read_text

EVALUATION_BATCH = 64  # windows at once; the result does not depend on it


class Text(NamedTuple):
    """The tokens to train on and those held out, and the shape of the model that the settings ask for."""

    config: sg.GPTConfig
    train: Array
    val: Array

    @classmethod
    def of(cls, settings: RunSettings) -> "Text":
        """Read and split the text of these settings as train.py does, character by character."""
        text = read_text(settings.data)
        tokenizer = sg.CharTokenizer.train(text)
        config = sg.GPTConfig.from_dict({**settings.model, "vocab_size": tokenizer.vocab_size})
        fraction = settings.training.val_fraction
        return cls(config, *data.split(tokenizer.encode(text), fraction, config.block_size))

    @property
    def val_rows(self) -> data.Rows:
        """The held-out part as consecutive windows."""
        return data.Windows(data.Part.of(self.val), self.config.block_size)


class Trainer(Protocol):
    """A model in training, with scratchgpt or PyTorch."""

    def step(self, step: int) -> None:
        """Take optimizer step `step`, counted from 0."""

    def weights(self) -> sg.ParamVector:
        """Return the weights after the last step."""


class Curve(NamedTuple):
    """The evaluations of a run: after how many steps and seconds of training, and the validation loss."""

    steps: list[int]
    seconds: list[float]
    losses: list[float]

    def first_below(self, loss: float) -> int | None:
        """Return the index of the first evaluation at or below a loss, or None."""
        return next((i for i, value in enumerate(self.losses) if value <= loss), None)


def follow(
    trainer: Trainer, training: TrainingSettings, text: Text, every: int, backend: sg.Backend
) -> Curve:
    """Train to the end; after every `every` steps stop the clock and evaluate the whole held-out text."""
    model = sg.GPT(text.config)
    curve, seconds = Curve([], [], []), 0.0
    for first in range(0, training.max_steps, every):
        last = min(first + every, training.max_steps)
        started = time.perf_counter()
        for step in range(first, last):
            trainer.step(step)
        seconds += time.perf_counter() - started
        bound = BoundModel(model, trainer.weights(), backend)
        loss = text_loss(bound, text.val_rows, batch_size=EVALUATION_BATCH).loss
        curve.steps.append(last)
        curve.seconds.append(seconds)
        curve.losses.append(loss)
    return curve


def learning_rate(training: TrainingSettings, step: int) -> float:
    """Return the learning rate of a step: a cosine with warm-up."""
    return sg.cosine_with_warmup(
        step,
        peak=training.learning_rate,
        floor=training.min_learning_rate,
        warmup_steps=training.warmup_steps,
        max_steps=training.max_steps,
    )
