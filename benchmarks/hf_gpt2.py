"""Hugging Face's GPT-2 with our weights: what our generation is compared with."""

from collections.abc import Callable

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

import scratchgpt as sg
from benchmarks.models import Continuation
from scratchgpt.config import GPTConfig


def with_weights_of(config: GPTConfig, params: sg.ParamVector) -> GPT2LMHeadModel:
    """Return transformers' model with our weights, whose names and shapes are the same but for a prefix."""
    if not config.bias or config.activation != "gelu_tanh":
        raise ValueError("transformers' GPT-2 has biases and the tanh GELU; expected a config with both")
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.block_size,
            n_layer=config.n_layer,
            n_head=config.n_head,
            n_embd=config.n_embd,
            n_inner=config.n_inner,
            activation_function="gelu_new",
            layer_norm_epsilon=config.layer_norm_epsilon,
            tie_word_embeddings=config.tie_weights,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    weights = {name: torch.tensor(view) for name, view in params.items()}
    head = weights.pop("lm_head.weight", weights["wte.weight"])
    state = {f"transformer.{name}": weight for name, weight in weights.items()}
    model.load_state_dict({**state, "lm_head.weight": head})
    return model.eval()


def greedy(workload: Continuation, threads: int) -> Callable[[], list[int]]:
    """Return a function that continues the prompt greedily with the KV cache and returns the new tokens."""
    torch.set_num_threads(threads)
    model = with_weights_of(workload.config, sg.GPT(workload.config).init())
    tokens = torch.tensor([workload.prompt])
    mask = torch.ones_like(tokens)
    settings = GenerationConfig(max_new_tokens=workload.n_new, do_sample=False, use_cache=True)

    def run() -> list[int]:
        generated = model.generate(tokens, attention_mask=mask, generation_config=settings)
        return generated[0, tokens.shape[1] :].tolist()

    return run
