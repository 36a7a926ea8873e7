"""From prompts and settings to text."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.generation.beam_search import Hypothesis, beam_search
from scratchgpt.generation.pipeline import Pipeline, Text
from scratchgpt.generation.sampling import Seed, Step, check_prompts, generate_steps
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.generation.stopping import Continuation
from scratchgpt.generation.token_stream import TokenStream
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.tokenizers import Tokenizer


@dataclass(frozen=True)
class Writer:
    """A model that continues prompts, which are token ids, with text.

    Attributes:
        model: the structure.
        params: its weights.
        tokenizer: token ids to text, and the texts of settings to ids.
        backend: where it computes.
        eos_ids: the tokens that a text ends with.
    """

    model: GPT
    params: ParamVector
    tokenizer: Tokenizer
    backend: Backend
    eos_ids: tuple[int, ...]

    def write(
        self, prompts: Sequence[Sequence[int]], settings: GenerationSettings, seed: Seed, num_samples: int = 1
    ) -> Iterator[tuple[int, str]]:
        """Yield the number of a text and a piece of it, as soon as that is certain.

        Args:
            prompts: their token ids.
            settings: how to write.
            seed: of the first text, or one for each; a beam search needs none.
            num_samples: how many texts continue each prompt; theirs are neighbouring numbers.

        Raises:
            InputError: a bad prompt or seed, a setting that does not go with this tokenizer, or more samples
                than beams.
        """
        if settings.beams > 1:
            return self._search(prompts, settings, num_samples)
        prompts = [prompt for prompt in prompts for _ in range(num_samples)]
        texts = [self._continuation(settings, settings.max_new_tokens) for _ in prompts]
        finished: set[int] = set()
        steps = self._steps(prompts, settings, seed, finished)

        def follow() -> Iterator[tuple[int, str]]:
            for step in steps:
                for row, (text, token) in enumerate(zip(texts, step.tokens, strict=True)):
                    if row not in finished:
                        yield from ((row, piece) for piece in text.take(token) if piece)
                        if text.finish_reason:
                            finished.add(row)

        return follow()

    def tokens(
        self, prompt: Sequence[int], settings: GenerationSettings, seed: Seed, n_alternatives: int
    ) -> TokenStream:
        """Return the tokens that continue a prompt, with their log-probabilities.

        Raises:
            InputError: what `write` raises, a beam search, or a negative number of alternatives.
        """
        if settings.beams > 1:
            raise InputError(
                f"generation.beams is {settings.beams}; expected 1 where tokens come one by one, because a "
                "beam search knows them only at the end"
            )
        if type(n_alternatives) is not int or n_alternatives < 0:
            raise InputError(f"n_alternatives is {n_alternatives!r}; expected a whole number of at least 0")
        text = self._continuation(settings, settings.max_new_tokens)
        steps = self._steps([prompt], settings, seed)
        return TokenStream(steps, text, self.tokenizer, self.backend, n_alternatives)

    def _steps(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        seed: Seed,
        finished: Collection[int] = (),
    ) -> Iterator[Step]:
        return generate_steps(
            self.model,
            self.params,
            prompts,
            self._pipeline(settings),
            backend=self.backend,
            seed=seed,
            finished=finished,
        )

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
        check_prompts(prompts, self.model)
        pipeline = self._pipeline(settings)

        def search(prompt: Sequence[int]) -> list[Hypothesis]:
            """Return the best continuations of one prompt."""
            return beam_search(
                self.model,
                self.params,
                prompt,
                backend=self.backend,
                beams=settings.beams,
                max_new_tokens=settings.max_new_tokens,
                length_penalty=settings.length_penalty,
                early_stopping=settings.early_stopping,
                beam_groups=settings.beam_groups,
                diversity_penalty=settings.diversity_penalty,
                eos_ids=self.eos_ids,
                process=lambda scores, ids: pipeline.penalise(scores, Text(ids, len(prompt))),
                vocab_size=pipeline.vocab_size,
            )

        return (
            (i * num_samples + n, self._text(hypothesis.tokens, settings))
            for i, prompt in enumerate(prompts)
            for n, hypothesis in enumerate(search(prompt)[:num_samples])
        )

    def _text(self, tokens: Sequence[int], settings: GenerationSettings) -> str:
        """Return the text of all these tokens, up to what ends it."""
        text = self._continuation(settings, len(tokens))
        return "".join(piece for token in tokens if not text.finish_reason for piece in text.take(token))
