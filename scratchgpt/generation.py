"""Generation: run the model, pick a token, append it, repeat."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.decoder import Decoder
from scratchgpt.errors import InputError
from scratchgpt.model import GPT
from scratchgpt.params import ParamVector
from scratchgpt.passes import check_tokens


def generate_batch(
    model: GPT,
    params: ParamVector,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    backend: Backend,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
    vocab_size: int | None = None,
) -> Iterator[list[int]]:
    """Yield, `max_new_tokens` times, the next token of every prompt, as soon as they are known.

    When prompt and continuation outgrow the block, the model sees the last block_size tokens.

    Args:
        model: the structure.
        params: its weights.
        prompts: one or more texts of 1 to block_size token ids, not necessarily of one length.
        max_new_tokens: how many tokens to generate for each.
        backend: where to compute.
        temperature: 0 always takes the likeliest token; see `ops.sampling.pick`.
        top_k: sample among the k likeliest only; see `ops.sampling.pick`.
        seed: the same seed gives the same tokens; None draws a new one. Prompt i draws from a stream of
            its own, the one that a single prompt would have with `seed + i`.
        vocab_size: only ids below it are generated (a tokenizer may have fewer than the model).

    Raises:
        InputError: a prompt that is empty or longer than the block, or a setting out of range.
    """
    block_size = model.config.block_size
    for prompt in prompts:
        if not 1 <= len(prompt) <= block_size:
            raise InputError(f"the prompt has {len(prompt)} tokens; expected 1 to block_size = {block_size}")
    _check_settings(max_new_tokens, temperature, top_k, seed)
    for prompt in prompts:
        check_tokens(np.array([prompt]), model.config)
    rngs = [np.random.default_rng(None if seed is None else seed + i) for i in range(len(prompts))]

    def follow() -> Iterator[list[int]]:
        """Do the work, step by step, as the caller asks for it."""
        if max_new_tokens == 0:
            return
        decoder = Decoder(model, params, prompts, backend=backend)
        for n_generated in range(1, max_new_tokens + 1):
            scores = [logits[:vocab_size] for logits in decoder.logits]
            uniforms = [rng.random() for rng in rngs]
            tokens = backend.pick(scores, temperature, top_k, uniforms)
            yield tokens
            if n_generated < max_new_tokens:
                decoder.step(tokens)

    return follow()  # a function of its own, so that bad input raises now and not at the first token


def generate_tokens(
    model: GPT, params: ParamVector, prompt: Sequence[int], max_new_tokens: int, **settings: Any
) -> Iterator[int]:
    """Yield the tokens that follow one prompt; `settings` and errors are those of `generate_batch`."""
    batches = generate_batch(model, params, [prompt], max_new_tokens, **settings)
    return (token for (token,) in batches)


def _check_settings(max_new_tokens: int, temperature: float, top_k: int | None, seed: int | None) -> None:
    if max_new_tokens < 0:
        raise InputError(f"max_new_tokens is {max_new_tokens}; expected at least 0")
    if not 0.0 <= temperature < float("inf"):
        raise InputError(f"temperature is {temperature}; expected a number of at least 0 (0 is greedy)")
    if top_k is not None and top_k < 0:
        raise InputError(f"top_k is {top_k}; expected at least 1, or 0 or none for all tokens")
    if seed is not None and seed < 0:
        raise InputError(f"seed is {seed}; expected at least 0, or none for another text each time")
