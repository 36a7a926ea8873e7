"""The loop of generation: score what comes next, sample a token, append it, repeat."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.generation.decoder import Decoder
from scratchgpt.generation.pipeline import Pipeline, Text
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import check_tokens
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.utils.validation import from_mapping

Seed = int | Sequence[int] | None
OF_TEXT = ("prompt", "stop", "beams")  # settings that mean nothing to `generate_batch`


class Step(NamedTuple):
    """One more token of every text; of one that is finished, its last step again.

    Attributes:
        tokens: the ids.
        logits: the model's scores (V,) that each was picked from, as they were, on the device.
    """

    tokens: list[int]
    logits: list[Array]


def generate_batch(
    model: GPT,
    params: ParamVector,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    backend: Backend,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: Seed = None,
    vocab_size: int | None = None,
    tokenizer: Tokenizer | None = None,
    eos_ids: Sequence[int] = (),
    **settings: Any,
) -> Iterator[list[int]]:
    """Yield, `max_new_tokens` times, the next token of every prompt, as soon as they are known.

    When prompt and continuation outgrow the block, the model sees the last block_size tokens.

    Args:
        model: the structure.
        params: its weights.
        prompts: one or more texts of 1 to block_size token ids, not necessarily of one length.
        max_new_tokens: how many tokens to generate for each.
        backend: where to compute.
        temperature: 0 always takes the likeliest token; see `ops.sampling.sample`.
        top_k: sample among the k likeliest only; see `ops.sampling.sample`.
        seed: the same seed gives the same tokens; None draws a new one. Prompt i draws from a stream of its
            own, that of `seed + i`, or of number i of several seeds. So its tokens depend on no other prompt.
        vocab_size: only ids below it are generated (a tokenizer may have fewer than the model).
        tokenizer: what cuts the texts of `banned` and `logit_bias` into tokens.
        eos_ids: the tokens that `min_new_tokens` is about; others may follow them here.
        **settings: other fields of `GenerationSettings`, but for prompt, stop and beams: these are for texts.

    Raises:
        InputError: a prompt that is empty or longer than the block, or a setting unknown or out of range.
    """
    given = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k, **settings}
    for name in OF_TEXT:
        if name in settings:
            raise InputError(f"{name} is {settings[name]!r}; expected none here: see LanguageModel.generate")
    chosen = from_mapping(GenerationSettings, given, "generation.")
    known = model.config.vocab_size if vocab_size is None else vocab_size
    pipeline = Pipeline(chosen, known, tokenizer, eos_ids)
    steps = generate_steps(model, params, prompts, pipeline, backend=backend, seed=seed)
    return (step.tokens for step in steps)


def generate_tokens(
    model: GPT, params: ParamVector, prompt: Sequence[int], max_new_tokens: int, **settings: Any
) -> Iterator[int]:
    """Yield the tokens that follow one prompt; `settings` and errors are those of `generate_batch`."""
    batches = generate_batch(model, params, [prompt], max_new_tokens, **settings)
    return (token for (token,) in batches)


def generate_steps(
    model: GPT,
    params: ParamVector,
    prompts: Sequence[Sequence[int]],
    pipeline: Pipeline,
    *,
    backend: Backend,
    seed: Seed,
    finished: Collection[int] = frozenset(),
) -> Iterator[Step]:
    """Yield one step after the other, until there are enough tokens or all texts are finished.

    Args:
        model, params, prompts, backend, seed: as for `generate_batch`.
        pipeline: what is done to the scores.
        finished: the numbers of texts that need no more tokens, and from then on cost nothing. The caller may
            add to it between steps.

    Raises:
        InputError: a prompt that is empty or longer than the block, or a seed that is negative.
    """
    check_prompts(prompts, model)
    rngs = [np.random.default_rng(one) for one in _seeds(seed, len(prompts))]
    settings = pipeline.settings

    def sample(rows: list[int], texts: list[list[int]], logits: list[Array]) -> list[int]:
        """Return the next token of these texts, given the scores (V,) of each."""
        scores = [row[: pipeline.vocab_size] for row in logits]
        uniforms = [rngs[row].random() for row in rows]
        if pipeline.is_plain:
            return backend.sample(scores, settings.temperature, settings.top_k, uniforms)
        return [
            pipeline.sample(backend.to_host(x), Text(text, len(prompts[row])), uniform)
            for row, text, x, uniform in zip(rows, texts, scores, uniforms, strict=True)
        ]

    def follow() -> Iterator[Step]:
        """Do the work, step by step, as the caller asks for it."""
        if settings.max_new_tokens == 0 or not prompts:
            return
        decoder = Decoder(model, params, prompts, backend=backend)
        rows = list(range(len(prompts)))  # which texts go on: those of the decoder
        last = Step([-1] * len(rows), list(decoder.logits))
        for n_generated in range(1, settings.max_new_tokens + 1):
            last = Step(list(last.tokens), list(last.logits))
            tokens = sample(rows, decoder.texts, decoder.logits)
            for row, token, logits in zip(rows, tokens, decoder.logits, strict=True):
                last.tokens[row], last.logits[row] = token, logits
            yield last
            going_on = [i for i, row in enumerate(rows) if row not in finished]
            if not going_on or n_generated == settings.max_new_tokens:
                return
            if len(going_on) < len(rows):
                rows, tokens = [rows[i] for i in going_on], [tokens[i] for i in going_on]
                decoder.keep(going_on)
            decoder.step(tokens)

    return follow()  # a function of its own, so that bad input raises now and not at the first token


def check_prompts(prompts: Sequence[Sequence[int]], model: GPT) -> None:
    """See that every prompt has 1 to block_size tokens of the model.

    Raises:
        InputError: one has not.
    """
    block_size = model.config.block_size
    for prompt in prompts:
        if not 1 <= len(prompt) <= block_size:
            hint = f", so keep the last {block_size}" if prompt else ""
            raise InputError(
                f"the prompt has {len(prompt)} tokens; expected 1 to block_size = {block_size}{hint}"
            )
    for prompt in prompts:
        check_tokens(np.array([prompt]), model.config)


def _seeds(seed: Seed, n: int) -> Sequence[int | None]:
    """Return a seed for each of n texts."""
    if seed is None:
        return [None] * n
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer | Sequence | np.ndarray):
        raise InputError(f"seed is {seed!r}; expected a whole number, several of them, or none")
    seeds = [seed + i for i in range(n)] if isinstance(seed, int | np.integer) else list(seed)
    if len(seeds) != n:
        raise InputError(f"seed has {len(seeds)} numbers; expected one for each of {n} texts")
    for one in seeds:
        if not isinstance(one, int | np.integer) or one < 0:
            raise InputError(
                f"seed is {one!r}; expected a whole number of at least 0, or none for another text each time"
            )
    return seeds
