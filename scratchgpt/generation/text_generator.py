"""From prompts and settings to text: the pipeline, the loop and the end of a text put together."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from scratchgpt.errors import InputError
from scratchgpt.generation.beam_search import Hypothesis, beam_search
from scratchgpt.generation.loop import Seed, Step, check_prompts, generate_steps
from scratchgpt.generation.pipeline import Pipeline, Text
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.generation.stopping import Continuation
from scratchgpt.generation.token_stream import TokenStream
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.tokenizers import Tokenizer


@dataclass(frozen=True)
class TextGenerator:
    """Generates text that continues prompts; prompts are token ids.

    Attributes:
        bound: the model, its weights and where to compute.
        tokenizer: turns token ids into text, and the texts in settings into ids.
        eos_ids: the tokens that end a text.
    """

    bound: BoundModel
    tokenizer: Tokenizer
    eos_ids: tuple[int, ...]

    def stream(
        self, prompts: Sequence[Sequence[int]], settings: GenerationSettings, seed: Seed, num_samples: int = 1
    ) -> Iterator[tuple[int, str]]:
        """Yield (index of the text, piece of it) as soon as the piece is certain.

        Args:
            prompts: their token ids.
            settings: how to generate.
            seed: of the first text, or one per text; a beam search needs none.
            num_samples: texts per prompt; the texts of one prompt have consecutive indices.

        Raises:
            InputError: if a prompt is empty or too long, the seed is invalid, this tokenizer cannot encode a
                setting, or there are more samples than beams.
        """
        if settings.beams > 1:
            return self._search(prompts, settings, num_samples)
        prompts = [prompt for prompt in prompts for _ in range(num_samples)]
        texts = [self._continuation(settings, settings.max_new_tokens) for _ in prompts]
        finished: set[int] = set()
        steps = self._steps(prompts, settings, seed, finished)

        def pieces() -> Iterator[tuple[int, str]]:
            for step in steps:
                for row, (text, token) in enumerate(zip(texts, step.tokens, strict=True)):
                    if row not in finished:
                        yield from ((row, piece) for piece in text.take(token) if piece)
                        if text.finish_reason:
                            finished.add(row)

        return pieces()

    def stream_tokens(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        seed: Seed,
        n_alternatives: int = 0,
    ) -> list[TokenStream]:
        """Return one stream of tokens with log-probabilities per prompt; all go through the model together.

        The stream that is advanced first runs a step for all of them, and their tokens wait in the others.

        Args:
            prompts: their token ids.
            settings: how to generate, without a beam search.
            seed: of the first text, or one per text.
            n_alternatives: how many of the most likely tokens to report with each token.

        Raises:
            InputError: if a prompt is empty or too long, the seed is invalid, the settings ask for a beam
                search, or `n_alternatives` is negative.
        """
        if settings.beams > 1:
            raise InputError(
                f"generation.beams is {settings.beams}; a beam search has no token-by-token output, "
                "so expected 1"
            )
        if type(n_alternatives) is not int or n_alternatives < 0:
            raise InputError(f"n_alternatives is {n_alternatives!r}; expected a whole number of at least 0")
        finished: set[int] = set()
        steps = self._steps(prompts, settings, seed, finished)
        waiting: list[deque[Step]] = [deque() for _ in prompts]

        def steps_of(row: int) -> Iterator[Step]:
            """Yield the steps of one text."""
            while True:
                if not waiting[row]:
                    step = next(steps, None)
                    if step is None:
                        return
                    for other, (token, logits) in enumerate(zip(step.tokens, step.logits, strict=True)):
                        if other not in finished:
                            waiting[other].append(Step([token], [logits]))
                yield waiting[row].popleft()

        def stream(row: int) -> TokenStream:
            text = self._continuation(settings, settings.max_new_tokens)
            return TokenStream(
                steps_of(row),
                text,
                self.tokenizer,
                self.bound.backend,
                n_alternatives,
                on_finish=lambda: finished.add(row),
            )

        return [stream(row) for row in range(len(prompts))]

    def _steps(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        seed: Seed,
        finished: Collection[int],
    ) -> Iterator[Step]:
        return generate_steps(self.bound, prompts, self._pipeline(settings), seed=seed, finished=finished)

    def _pipeline(self, settings: GenerationSettings) -> Pipeline:
        return Pipeline(settings, self.tokenizer.vocab_size, self.tokenizer, self.eos_ids)

    def _continuation(self, settings: GenerationSettings, max_new_tokens: int) -> Continuation:
        return Continuation(self.tokenizer, max_new_tokens, self.eos_ids, settings.stop)

    def _search(
        self, prompts: Sequence[Sequence[int]], settings: GenerationSettings, num_samples: int
    ) -> Iterator[tuple[int, str]]:
        """Yield the best texts that a beam search finds for each prompt, each in one piece."""
        if num_samples > settings.beams:
            raise InputError(f"num_samples is {num_samples}; expected at most beams = {settings.beams}")
        check_prompts(prompts, self.bound)
        pipeline = self._pipeline(settings)

        def search(prompt: Sequence[int]) -> list[Hypothesis]:
            return beam_search(
                self.bound,
                prompt,
                settings,
                eos_ids=self.eos_ids,
                process=lambda scores, ids: pipeline.penalize(scores, Text(ids, len(prompt))),
                vocab_size=pipeline.vocab_size,
            )

        return (
            (i * num_samples + n, self._text(hypothesis.tokens, settings))
            for i, prompt in enumerate(prompts)
            for n, hypothesis in enumerate(search(prompt)[:num_samples])
        )

    def _text(self, tokens: Sequence[int], settings: GenerationSettings) -> str:
        """Return the text of these tokens, up to what ends it."""
        text = self._continuation(settings, len(tokens))
        return "".join(piece for token in tokens if not text.finish_reason for piece in text.take(token))
