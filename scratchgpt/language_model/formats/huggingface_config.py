"""Convert between our configuration and the config.json of Hugging Face's GPT-2."""

from collections.abc import Mapping, Sequence
from typing import Any

from scratchgpt.config import Activation, GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.float_types import FloatType
from scratchgpt.language_model.saving import generation_config
from scratchgpt.tokenizers.file_content import prefix_errors

ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu_exact",
}
FIELDS = {  # our name: (their name, their default)
    "vocab_size": ("vocab_size", 50257),
    "block_size": ("n_positions", 1024),
    "n_layer": ("n_layer", 12),
    "n_head": ("n_head", 12),
    "n_embd": ("n_embd", 768),
    "n_inner": ("n_inner", None),
    "dropout": ("resid_pdrop", 0.1),
    "layer_norm_epsilon": ("layer_norm_epsilon", 1e-5),
    "init_std": ("initializer_range", 0.02),
    "tie_weights": ("tie_word_embeddings", True),
}
SYNONYMS = {  # transformers accepts either
    "n_positions": "max_position_embeddings",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_embd": "hidden_size",
}
SWITCHES = {  # they change what is computed, and we support one value of each
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
# `reorder_and_upcast_attn` changes the order and precision of operations, not what is computed.


def is_huggingface(values: Mapping[str, Any]) -> bool:
    """Return whether a config.json is Hugging Face's; ours has none of these keys."""
    return not values.keys().isdisjoint(("model_type", "architectures", "n_positions"))


def from_huggingface(values: Mapping[str, Any], name: str) -> GPTConfig:
    """Return the configuration that a config.json of GPT-2 describes.

    It has three dropout probabilities, we have one: that of the residual branches is taken.

    Args:
        values: the content of the file.
        name: the file's name, for messages.

    Raises:
        InputError: another architecture, a bad value, or an unsupported option.
    """
    kind = values.get("model_type", "gpt2")
    if kind != "gpt2":
        raise InputError(f"{name}: model_type is {kind!r}; only 'gpt2' is supported")
    for switch, ours in SWITCHES.items():
        if values.get(switch, ours) != ours:
            raise InputError(f"{name}: {switch} is {values[switch]!r}; only {ours} is supported")
    function = values.get("activation_function", "gelu_new")
    if function not in ACTIVATIONS:
        raise InputError(
            f"{name}: activation_function is {function!r}; expected one of {', '.join(ACTIVATIONS)}"
        )
    fields = {
        ours: values.get(theirs, values.get(SYNONYMS.get(theirs, theirs), default))
        for ours, (theirs, default) in FIELDS.items()
    }
    with prefix_errors(name):
        return GPTConfig(**fields, activation=ACTIVATIONS[function])


def to_huggingface(
    config: GPTConfig, bos_token_id: int | None, eos_token_ids: Sequence[int], dtype: FloatType
) -> dict[str, Any]:
    """Return the content of config.json for a model of this shape.

    Args:
        config: the shape.
        bos_token_id: the token that a text begins with; None is written, because the default is 50256.
        eos_token_ids: the tokens that end a text.
        dtype: type of the weights in the file.

    Raises:
        InputError: an adaptive softmax, which GPT-2 does not have.
    """
    if config.adaptive_cutoffs:
        raise InputError(
            "Hugging Face's GPT-2 has no adaptive softmax, so a model with adaptive_cutoffs "
            f"{list(config.adaptive_cutoffs)} cannot be exported"
        )
    theirs = {value: key for key, value in reversed(ACTIVATIONS.items())}  # gelu_new comes last, so it wins
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        **{name: getattr(config, ours) for ours, (name, _) in FIELDS.items()},
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "activation_function": theirs[config.activation],
        **SWITCHES,
        "bos_token_id": None,
        "eos_token_id": None,
        **generation_config(bos_token_id, eos_token_ids),
        "dtype": dtype,
    }
