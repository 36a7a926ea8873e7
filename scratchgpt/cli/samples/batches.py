"""Several texts of a model, which go through it together, token by token with their probabilities."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scratchgpt.generation import GenerationSettings
from scratchgpt.generation.pipeline import Pipeline
from scratchgpt.generation.sampling import Step, generate_steps
from scratchgpt.generation.stopping import Continuation, FinishReason
from scratchgpt.generation.token_stream import GeneratedToken, TokenStream
from scratchgpt.language_model.lm import LanguageModel

TOGETHER = 16  # texts at once: their keys and values are all in memory


@dataclass(frozen=True)
class Request:
    """A text that is asked for.

    Attributes:
        prompt: what it continues; None begins a text.
        seed: what its tokens are drawn with.
    """

    prompt: str | None
    seed: int


@dataclass(frozen=True)
class Sample:
    """A text, and what the model thought of it.

    Attributes:
        request: what was asked for.
        prompt: what the text continues, or where none was asked for, what the model began with.
        tokens: what the model wrote.
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
    """Return `num_samples` requests for each prompt; text i has the seed `seed + i`."""
    every = [prompt for prompt in prompts for _ in range(num_samples)]
    return [Request(prompt, seed + i) for i, prompt in enumerate(every)]


def samples(
    model: LanguageModel, asked: Sequence[Request], settings: GenerationSettings, n_alternatives: int = 0
) -> Iterator[Sample]:
    """Yield the texts in their order, each token with its log-probability.

    Args:
        model: what writes them.
        asked: the requests.
        settings: how to write, without a beam search.
        n_alternatives: how many of the likeliest tokens to name beside each.

    Raises:
        InputError: what `LanguageModel.stream_tokens` raises.
    """
    for group in groups(asked):
        finished: set[int] = set()
        streams = _streams(model, group, settings, n_alternatives, finished)
        tokens: list[list[GeneratedToken]] = [[] for _ in group]
        while len(finished) < len(group):
            for row, stream in enumerate(streams):
                if row not in finished and (token := next(stream, None)):
                    tokens[row].append(token)
                if stream.finish_reason:
                    finished.add(row)
        for one, found, stream in zip(group, tokens, streams, strict=True):
            prompt = model.tokenizer.decode(model.prompt_ids(None)) if one.prompt is None else one.prompt
            yield Sample(one, prompt, [*found, *stream], stream.finish_reason)


def _streams(
    model: LanguageModel,
    group: Sequence[Request],
    settings: GenerationSettings,
    n_alternatives: int,
    finished: set[int],
) -> list[TokenStream]:
    """Return the tokens of each text; whichever is asked for one first takes a step with all of them.

    A text that holds tokens back is some steps ahead of the others, for which these steps wait.
    """
    tokenizer, ends = model.tokenizer, model.eos_token_ids
    steps = generate_steps(
        model.model,
        model.params,
        [model.prompt_ids(one.prompt) for one in group],
        Pipeline(settings, tokenizer.vocab_size, tokenizer, ends),
        backend=model.backend,
        seed=[one.seed for one in group],
        finished=finished,
    )
    waiting: list[deque[Step]] = [deque() for _ in group]

    def of(row: int) -> Iterator[Step]:
        """Yield the steps of one text; what the others get by that waits for them."""
        while True:
            if not waiting[row]:
                step = next(steps, None)
                if step is None:
                    return
                for other, (token, logits) in enumerate(zip(step.tokens, step.logits, strict=True)):
                    if other not in finished:
                        waiting[other].append(Step([token], [logits]))
            yield waiting[row].popleft()

    return [
        TokenStream(
            of(row),
            Continuation(tokenizer, settings.max_new_tokens, ends, settings.stop),
            tokenizer,
            model.backend,
            n_alternatives,
        )
        for row in range(len(group))
    ]


def groups(asked: Sequence[Request]) -> Iterator[Sequence[Request]]:
    """Yield the requests, as many at a time as go through a model together."""
    return (asked[first : first + TOGETHER] for first in range(0, len(asked), TOGETHER))
