"""The generation loop: score the next token, sample one, append it, repeat."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.generation.decoder import Decoder
from scratchgpt.generation.pipeline import Pipeline, Text
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.inputs import check_tokens
from scratchgpt.shapes import Array
from scratchgpt.utils.validation import from_mapping

Seed = int | Sequence[int] | None
REFUSED = {  # settings that `generate_batch` does not take, and why
    "prompt": "prompt is a text, but prompts are token ids here; use LanguageModel.generate",
    "stop": "stop is compared with text, so it needs a tokenizer; use LanguageModel.generate, which has one",
    "beams": "beams cannot be generated token by token: a beam search knows its tokens only at its end; use "
    "LanguageModel.generate, or beam_search in generation/beam_search.py for token ids",
}


class Step(NamedTuple):
    """One more token of every sequence; a finished sequence repeats its last step.

    Attributes:
        tokens: the token ids, one per sequence.
        logits: the raw logits (V,) of each, before any processor, on the device.
    """

    tokens: list[int]
    logits: list[Array]


def generate_batch(
    bound: BoundModel, prompts: Sequence[Sequence[int]], *, seed: Seed = None, **settings: Any
) -> Iterator[list[int]]:
    """Yield one list of next token ids (one per prompt) per step, for `max_new_tokens` steps.

    When prompt and continuation outgrow the context window, the model sees the last block_size tokens.

    Args:
        bound: the model, its weights and where to compute.
        prompts: one or more sequences of 1 to block_size token ids; their lengths may differ.
        seed: the same seed gives the same tokens; None gives different ones each time. Prompt i has its
            own random stream, that of `seed + i`, or of the i-th of several seeds, so its tokens do not
            depend on the other prompts.
        **settings: fields of `GenerationSettings` except prompt, stop and banned, which need a tokenizer, and
            beams, because a beam search cannot yield tokens one by one. `logit_bias` takes ids only.

    Raises:
        InputError: if a prompt is empty or longer than the context window, or a setting is unknown or
            invalid.
    """
    for name, why in REFUSED.items():
        if name in settings:
            raise InputError(why)
    chosen = from_mapping(GenerationSettings, settings, "generation.")
    pipeline = Pipeline(chosen, bound.config.vocab_size)
    return (step.tokens for step in generate_steps(bound, prompts, pipeline, seed=seed))


def generate_tokens(
    bound: BoundModel, prompt: Sequence[int], *, seed: Seed = None, **settings: Any
) -> Iterator[int]:
    """Yield the tokens that follow one prompt; arguments and errors as for `generate_batch`."""
    return (token for (token,) in generate_batch(bound, [prompt], seed=seed, **settings))


def generate_steps(
    bound: BoundModel,
    prompts: Sequence[Sequence[int]],
    pipeline: Pipeline,
    *,
    seed: Seed,
    finished: Collection[int] = frozenset(),
) -> Iterator[Step]:
    """Yield one step after the other, until `max_new_tokens` or until all sequences are finished.

    Args:
        bound: the model, its weights and where to compute.
        prompts: their token ids.
        pipeline: turns logits into the scores to sample from.
        seed: see `generate_batch`.
        finished: indices of the sequences that need no more tokens; from then on they cost nothing. The
            caller may add to it between steps.

    Raises:
        InputError: if a prompt is empty or longer than the context window, or a seed is negative.
    """
    check_prompts(prompts, bound)
    rngs = [np.random.default_rng(one) for one in _seeds(seed, len(prompts))]
    settings, backend = pipeline.settings, bound.backend

    def sample(rows: list[int], texts: list[list[int]], logits: list[Array]) -> list[int]:
        """Return the next token of each of these sequences, given its logits (V,)."""
        # The model may have more ids than the tokenizer, e.g. to round V up; those ids have no text.
        scores = [row[: pipeline.vocab_size] for row in logits]
        uniforms = [rngs[row].random() for row in rows]
        if pipeline.is_plain:
            return backend.sample(scores, settings.temperature, settings.top_k, uniforms)
        return [
            pipeline.sample(backend.to_host(x), Text(text, len(prompts[row])), uniform)
            for row, text, x, uniform in zip(rows, texts, scores, uniforms, strict=True)
        ]

    def loop() -> Iterator[Step]:
        if settings.max_new_tokens == 0 or not prompts:
            return
        decoder = Decoder(bound, prompts)
        rows = list(range(len(prompts)))  # the unfinished sequences, which are those of the decoder
        last = Step([-1] * len(rows), list(decoder.logits))
        for n_generated in range(1, settings.max_new_tokens + 1):
            last = Step(list(last.tokens), list(last.logits))
            tokens = sample(rows, decoder.texts, decoder.logits)
            for row, token, logits in zip(rows, tokens, decoder.logits, strict=True):
                last.tokens[row], last.logits[row] = token, logits
            yield last
            unfinished = [i for i, row in enumerate(rows) if row not in finished]
            if not unfinished or n_generated == settings.max_new_tokens:
                return
            if len(unfinished) < len(rows):
                rows, tokens = [rows[i] for i in unfinished], [tokens[i] for i in unfinished]
                decoder.keep(unfinished)
            decoder.step(tokens)

    return loop()  # a function of its own, so that bad input raises here and not at the first token


def check_prompts(prompts: Sequence[Sequence[int]], bound: BoundModel) -> None:
    """Check that every prompt has 1 to block_size tokens of the model.

    Raises:
        InputError: if a prompt is empty or longer than the context window, or an id is out of range.
    """
    block_size = bound.config.block_size
    for prompt in prompts:
        if not prompt:
            raise InputError("the prompt has no tokens; expected at least 1")
        if len(prompt) > block_size:
            raise InputError(
                f"the prompt has {len(prompt)} tokens; expected 1 to block_size = {block_size}, "
                f"so keep the last {block_size}"
            )
    for prompt in prompts:
        check_tokens(np.array([prompt]), bound.config)


def _seeds(seed: Seed, n: int) -> Sequence[int | None]:
    """Return one seed per sequence."""
    if seed is None:
        return [None] * n
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer | Sequence | np.ndarray):
        raise InputError(f"seed is {seed!r}; expected a whole number, a list of them, or None")
    seeds = [seed + i for i in range(n)] if isinstance(seed, int | np.integer) else list(seed)
    if len(seeds) != n:
        raise InputError(f"seed has {len(seeds)} numbers; expected one for each of {n} texts")
    for one in seeds:
        if not isinstance(one, int | np.integer) or one < 0:
            raise InputError(
                f"seed is {one!r}; expected a whole number of at least 0, or None: a different text each time"
            )
    return seeds
