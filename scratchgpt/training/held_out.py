"""The held-out text of a run, and what it says of a model."""

import math

from scratchgpt.corpora import Corpus
from scratchgpt.data import Part, rows_of
from scratchgpt.evaluation.metrics import in_other_units
from scratchgpt.evaluation.text_loss import score
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.training.settings import TrainingSettings
from scratchgpt.training.text import nats_per_token


class HeldOut:
    """The text that a run is evaluated on: a part that it does not train on, or the whole text.

    Args:
        corpus: what it is a part of.
        part: its tokens.
        tokenizer: what they mean.
        training: says how much of it to read, and how many rows at once.

    Attributes:
        label: what to call it, "held-out" or "whole-text".
        floor: its entropy in nats per token, where that is known: no model is better.
    """

    def __init__(self, corpus: Corpus, part: Part, tokenizer: Tokenizer, training: TrainingSettings) -> None:
        self.label = "held-out" if training.val_fraction else "whole-text"
        self.floor = nats_per_token(corpus, part)
        self._part = part
        self._tokenizer = tokenizer
        self._training = training

    def evaluate(self, bound: BoundModel) -> dict[str, float]:
        """Return what an evaluation records.

        That is val_loss in nats per token, the same as perplexity and bits_per_byte, the accuracy, and where
        the floor is known bits_above_floor, per token.
        """
        training = self._training
        val_loss, accuracy, _ = score(
            bound,
            rows_of(self._part, bound.config.block_size),
            batch_size=-(-training.batch_size // training.accumulate),
            max_tokens=training.eval_tokens,
        )
        units = in_other_units(val_loss, self._tokenizer, self._part)
        floor = {} if self.floor is None else {"bits_above_floor": (val_loss - self.floor) / math.log(2)}
        return {"val_loss": val_loss, **units, "accuracy": accuracy, **floor}
