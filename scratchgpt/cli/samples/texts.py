"""The text to print for each request: a single one token by token, several of them in batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from scratchgpt.cli.samples.batches import Request, groups, samples
from scratchgpt.generation import GenerationSettings
from scratchgpt.generation.token_stream import GeneratedToken
from scratchgpt.language_model.lm import LanguageModel


def texts(
    model: LanguageModel, asked: Sequence[Request], settings: GenerationSettings
) -> Iterator[tuple[str | None, Iterable[str]]]:
    """Yield the prompt of each request, and the pieces of the text that continues it.

    Raises:
        InputError: as `LanguageModel.generate_batch` does.
    """
    how = asdict(settings) | {"prompt": None}
    if len(asked) == 1:
        yield asked[0].prompt, model.stream(**how | asdict(asked[0]))
        return
    for group in groups(asked):
        prompts = [one.prompt for one in group]
        found = model.generate_batch(prompts, **how, seed=[one.seed for one in group])
        yield from ((prompt, [text]) for prompt, text in zip(prompts, found, strict=True))


def best_texts(
    model: LanguageModel, prompts: Sequence[str | None], num_samples: int, settings: GenerationSettings
) -> Iterator[tuple[str | None, Iterable[str]]]:
    """Yield each prompt `num_samples` times, with the best texts that a beam search finds.

    Raises:
        InputError: as `LanguageModel.generate_batch` does.
    """
    how = asdict(settings) | {"prompt": None}
    for prompt in prompts:
        found = model.generate_batch([prompt], **how, num_samples=num_samples)
        yield from ((prompt, [text]) for text in found)


def scored_texts(
    model: LanguageModel, asked: Sequence[Request], settings: GenerationSettings, n_alternatives: int
) -> Iterator[tuple[str | None, Iterable[GeneratedToken]]]:
    """Yield the prompt of each request, and the tokens that continue it, with their probabilities.

    Raises:
        InputError: as `LanguageModel.stream_tokens` does.
    """
    if len(asked) == 1:
        how = asdict(settings) | asdict(asked[0])
        yield asked[0].prompt, model.stream_tokens(**how, n_alternatives=n_alternatives)
        return
    for sample in samples(model, asked, settings, n_alternatives):
        yield sample.request.prompt, sample.tokens
