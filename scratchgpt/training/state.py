"""What training changes: all that a checkpoint must keep so that a run goes on as if it had never stopped."""

from dataclasses import dataclass

from scratchgpt.data import Batches
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.optim import EMA, Optimizer


@dataclass
class TrainingState:
    """What training changes.

    Attributes:
        model: the structure, which does not change.
        optimizer: weights, moments and how many steps it has taken.
        ema: the running mean of the weights, or None.
        batches: how far in the text it is.
        text_key: what text and tokenizer are called in the cache.
    """

    model: GPT
    optimizer: Optimizer
    ema: EMA | None
    batches: Batches
    text_key: str

    @property
    def params(self) -> ParamVector:
        """The weights that training changes."""
        return self.optimizer.params

    def update_mean(self) -> None:
        """Take the weights after a step into their running mean, if there is one."""
        if self.ema:
            self.ema.update()

    def evaluated(self) -> BoundModel:
        """Return the model with the weights to evaluate, see `weights`, on the optimizer's backend."""
        return BoundModel(self.model, self.weights(), self.optimizer.backend)

    def weights(self) -> ParamVector:
        """Return the weights to evaluate and to keep as the best: their running mean, if there is one."""
        return self.ema.weights() if self.ema else self.params
