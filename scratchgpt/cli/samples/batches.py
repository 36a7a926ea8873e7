"""Several texts from one model, generated together, with the probability of every token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scratchgpt.generation import GenerationSettings
from scratchgpt.generation.stopping import FinishReason
from scratchgpt.generation.token_stream import GeneratedToken
from scratchgpt.language_model.lm import LanguageModel

MAX_TEXTS_AT_ONCE = 16  # their keys and values are all in memory


@dataclass(frozen=True)
class Request:
    """A text to generate.

    Attributes:
        prompt: the text that it continues; None begins a new text.
        seed: of its random stream.
    """

    prompt: str | None
    seed: int


@dataclass(frozen=True)
class Sample:
    """A generated text.

    Attributes:
        request: what was asked for.
        prompt: the text that it continues; for a request without a prompt, what the model started from.
        tokens: the generated tokens with their log-probabilities.
        finish_reason: why the text ended.
    """

    request: Request
    prompt: str
    tokens: list[GeneratedToken]
    finish_reason: FinishReason | None

    @property
    def text(self) -> str:
        """The text without its prompt."""
        return "".join(token.text for token in self.tokens)


def requests(prompts: Sequence[str | None], num_samples: int, seed: int) -> list[Request]:
    """Return `num_samples` requests per prompt; text i has the seed `seed + i`."""
    repeated = [prompt for prompt in prompts for _ in range(num_samples)]
    return [Request(prompt, seed + i) for i, prompt in enumerate(repeated)]


def samples(
    model: LanguageModel, asked: Sequence[Request], settings: GenerationSettings, n_alternatives: int = 0
) -> Iterator[Sample]:
    """Yield the texts in order, each token with its log-probability.

    Args:
        model: generates them.
        asked: the requests.
        settings: how to generate, without a beam search.
        n_alternatives: how many of the most likely tokens to report with each token.

    Raises:
        InputError: as `LanguageModel.stream_tokens` does.
    """
    for group in groups(asked):
        prompts = [model.prompt_ids(one.prompt) for one in group]
        seeds = [one.seed for one in group]
        streams = model.generator.stream_tokens(prompts, settings, seeds, n_alternatives)
        tokens: list[list[GeneratedToken]] = [[] for _ in group]
        running = list(range(len(group)))
        while running:  # one token of each text in turn, so that they advance together
            for row in list(running):
                token = next(streams[row], None)
                if token is None:
                    running.remove(row)
                else:
                    tokens[row].append(token)
        for one, found, stream in zip(group, tokens, streams, strict=True):
            prompt = model.tokenizer.decode(model.prompt_ids(None)) if one.prompt is None else one.prompt
            yield Sample(one, prompt, found, stream.finish_reason)


def groups(asked: Sequence[Request]) -> Iterator[Sequence[Request]]:
    """Yield the requests in groups that go through the model together."""
    return (asked[i : i + MAX_TEXTS_AT_ONCE] for i in range(0, len(asked), MAX_TEXTS_AT_ONCE))
