"""The state of training: what a checkpoint must store so that a run can be resumed exactly."""

from dataclasses import dataclass

from scratchgpt.data import Batches
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.optim import EMA, Optimizer


@dataclass
class TrainingState:
    """Everything that training changes, and the model it belongs to.

    Attributes:
        model: the structure, which does not change.
        optimizer: the weights, the moments and the number of steps taken.
        ema: the exponential moving average of the weights, or None.
        batches: the position in the text.
        text_key: the cache key of text and tokenizer.
    """

    model: GPT
    optimizer: Optimizer
    ema: EMA | None
    batches: Batches
    text_key: str

    @property
    def params(self) -> ParamVector:
        """The weights, which the optimizer updates in place."""
        return self.optimizer.params

    def update_ema(self) -> None:
        """Add the weights after a step to their EMA, if there is one."""
        if self.ema:
            self.ema.update()

    def eval_model(self) -> BoundModel:
        """Return the model with the weights to evaluate, see `weights`, on the optimizer's backend."""
        return BoundModel(self.model, self.weights(), self.optimizer.backend)

    def weights(self) -> ParamVector:
        """Return the weights to evaluate and to save as the best: their EMA, if there is one."""
        return self.ema.weights() if self.ema else self.params
