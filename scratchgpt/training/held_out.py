"""The held-out text of a run, and the metrics of a model on it."""

import math

from scratchgpt.corpora import Corpus
from scratchgpt.data import Part, rows_of
from scratchgpt.evaluation.metrics import in_other_units
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.training.settings import TrainingSettings
from scratchgpt.training.text import entropy_per_token


class HeldOut:
    """The text that a run is evaluated on: the part it does not train on, or the whole text.

    Args:
        corpus: the whole text.
        part: the tokens to evaluate on.
        tokenizer: the tokenizer they come from.
        training: has the batch size and the number of tokens to evaluate on.

    Attributes:
        label: "validation" or "whole-text", for messages and plots.
        floor: the entropy of the text in nats per token, if known; no model can have a lower loss.
    """

    def __init__(self, corpus: Corpus, part: Part, tokenizer: Tokenizer, training: TrainingSettings) -> None:
        self.label = training.val_label
        self.floor = entropy_per_token(corpus, part)
        self._part = part
        self._tokenizer = tokenizer
        self._training = training

    def evaluate(self, bound: BoundModel) -> dict[str, float]:
        """Return the metrics by name.

        val_loss is in nats per token; perplexity and bits_per_byte are the same loss in other units (with
        the bytes per token of the whole part, even if `eval_tokens` leaves some of it out); accuracy
        is the share of targets that were the most likely token; bits_above_floor, only if the entropy of the
        text is known, is how far the loss is above it, in bits per token.
        """
        training = self._training
        val_loss, accuracy, _ = text_loss(
            bound,
            rows_of(self._part, bound.config.block_size),
            batch_size=-(-training.batch_size // training.accumulate),
            max_tokens=training.eval_tokens,
        )
        units = in_other_units(val_loss, self._tokenizer, self._part)
        floor = {} if self.floor is None else {"bits_above_floor": (val_loss - self.floor) / math.log(2)}
        return {"val_loss": val_loss, **units, "accuracy": accuracy, **floor}
