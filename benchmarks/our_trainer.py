"""Training on a text with scratchgpt, the way train.py does it."""

import math

import scratchgpt as sg
from benchmarks.curve import Text, learning_rate
from scratchgpt import data
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.settings import TrainingSettings


class OurTrainer:
    """A model in training; see `benchmarks.curve.Trainer`."""

    def __init__(self, training: TrainingSettings, text: Text, threads: int) -> None:
        self.training, self.text = training, text
        self.backend = sg.get_backend("numpy", threads)
        self.model = sg.GPT(text.config)
        self.params = self.model.init(training.seed)
        self.optimizer = sg.AdamW(self.params, backend=self.backend, **training.hyperparameters)

    def step(self, step: int) -> None:
        """Draw the batch of optimizer step `step`, counted from 0, and take the step."""
        rng = step_rng(self.training.seed, step)
        x, y = data.random_batch(self.text.train, self.training.batch_size, self.text.config.block_size, rng)
        _, grads = sg.loss_and_grads(self.model, self.params, x, y, backend=self.backend, rng=rng)
        sg.clip_grad_norm(grads, self.training.grad_clip or math.inf)
        self.optimizer.step(grads, learning_rate(self.training, step))

    def weights(self) -> sg.ParamVector:
        """Return the weights after the last step, not copied."""
        return self.params
