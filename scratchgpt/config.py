"""The configuration of a model: GPT-2's fields, under GPT-2's names."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any, Literal

from scratchgpt.errors import InputError
from scratchgpt.utils.validation import check_types, from_mapping

MAX_LAYERS = 10_000  # more is surely a typo
Activation = Literal["gelu_tanh", "gelu_exact"]


@dataclass(frozen=True)
class GPTConfig:
    """The architecture of a GPT-2 style model; together with a seed it determines the initial weights.

    Attributes:
        vocab_size: number of token ids, V.
        block_size: context length: the largest number of tokens that the model sees at once.
        n_layer: number of transformer blocks.
        n_head: attention heads per block; must divide n_embd.
        n_embd: width of the model: channels of the residual stream, C.
        n_inner: width of the MLP's hidden layer, F; null means 4 * n_embd.
        dropout: probability, in [0, 1), of zeroing an element of the embedding, of the attention
            probabilities and of each residual branch.
        bias: whether linear layers and LayerNorms have biases.
        tie_weights: whether the output head shares the weights of the token embedding.
        activation: the MLP's nonlinearity: "gelu_tanh" (GPT-2) or "gelu_exact" (nanoGPT).
        layer_norm_epsilon: added to the variance in LayerNorm, inside the square root.
        init_std: standard deviation of the initial weights; residual projections get
            init_std / sqrt(2 n_layer).
        adaptive_cutoffs: the first token id of each tail of an adaptive softmax, e.g. [2000,10000]; null
            means an ordinary softmax. Frequent tokens should have small ids, as byte pair encoding roughly
            ensures.
        adaptive_factor: the first tail of the adaptive softmax has n_embd / adaptive_factor channels, each
            further tail adaptive_factor times fewer than the one before.
    """

    vocab_size: int
    block_size: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    n_inner: int | None = None
    dropout: float = 0.0
    bias: bool = True
    tie_weights: bool = True
    activation: Activation = "gelu_tanh"
    layer_norm_epsilon: float = 1e-5
    init_std: float = 0.02
    adaptive_cutoffs: tuple[int, ...] | None = None
    adaptive_factor: float = 4.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "adaptive_cutoffs", _whole_numbers(self.adaptive_cutoffs))
        check_types(self)
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_inner"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; expected a whole number of at least 1")
        if self.n_layer > MAX_LAYERS:
            raise InputError(f"n_layer is {self.n_layer}; expected at most {MAX_LAYERS:,}")
        if self.n_embd % self.n_head:
            raise InputError(
                f"n_embd is {self.n_embd} and n_head is {self.n_head}; "
                "n_head must divide n_embd, because each head gets n_embd / n_head channels"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"dropout is {self.dropout!r}; expected a probability in [0, 1)")
        for name in ("layer_norm_epsilon", "init_std"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a positive number")
        self._check_adaptive_softmax()

    def _check_adaptive_softmax(self) -> None:
        if self.adaptive_factor < 1.0:
            raise InputError(f"adaptive_factor is {self.adaptive_factor!r}; expected a number of at least 1")
        if self.adaptive_cutoffs is None:
            return
        bounds = (0, *self.adaptive_cutoffs, self.vocab_size)
        if not self.adaptive_cutoffs or any(first >= last for first, last in pairwise(bounds)):
            raise InputError(
                f"adaptive_cutoffs is {list(self.adaptive_cutoffs)}; expected at least one token id, in "
                f"ascending order, above 0 and below vocab_size = {self.vocab_size}"
            )
        if self.tie_weights:
            raise InputError(
                f"adaptive_cutoffs is {list(self.adaptive_cutoffs)} and tie_weights is true; set tie_weights "
                "to false, because a tail's weights are narrower than the token embedding"
            )

    @property
    def mlp_width(self) -> int:
        """The width of the MLP's hidden layer, F: n_inner, or 4 * n_embd if that is None."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GPTConfig":
        """Build a config from a mapping of field names to values; only vocab_size is required.

        Raises:
            InputError: vocab_size is missing, a key is unknown (the message suggests the nearest field), or a
                value is invalid.
        """
        if "vocab_size" not in values:
            raise InputError("vocab_size is missing; set it to the number of token ids")
        return from_mapping(cls, values, "model.")


def _whole_numbers(value: Any) -> tuple[int, ...] | None:
    """Return a list of whole numbers as a tuple; JSON and YAML have only lists."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(map(_is_whole, value)):
        raise InputError(f"adaptive_cutoffs is {value!r}; expected a list of whole numbers or null")
    return tuple(int(each) for each in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
