"""A language model: structure, weights and tokenizer together, ready to generate text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.evaluation.log_probs import TokenLogProbs, token_log_probs
from scratchgpt.generation.loop import Seed
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.generation.text_generator import TextGenerator
from scratchgpt.generation.token_stream import TokenStream
from scratchgpt.inspection.attention_maps import attention_maps
from scratchgpt.inspection.residual import features
from scratchgpt.language_model.saving import save_model
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.utils.validation import from_mapping


@dataclass(frozen=True)
class LanguageModel:
    """What `sg.load` returns.

    Attributes:
        model: the structure.
        params: its weights.
        tokenizer: turns text into token ids and back.
        backend: where it computes.
        bos_token_id: the token that every text begins with, or None if the training text had none.
        eos_token_ids: the tokens that end a text or a turn of a dialogue; generation stops at any of them.

    Raises:
        InputError: the tokenizer has more tokens than the model, or the weights are not the model's.
    """

    model: GPT
    params: ParamVector
    tokenizer: Tokenizer
    backend: Backend
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.tokenizer.vocab_size > self.model.config.vocab_size:
            raise InputError(
                f"the tokenizer has {self.tokenizer.vocab_size} tokens; "
                f"expected at most the model's vocab_size = {self.model.config.vocab_size}"
            )

    @cached_property
    def bound(self) -> BoundModel:
        """Model, weights and backend, for everything that does not need the tokenizer."""
        return BoundModel(self.model, self.params, self.backend)

    @cached_property
    def generator(self) -> TextGenerator:
        """Generates text from token ids."""
        return TextGenerator(self.bound, self.tokenizer, self.eos_token_ids)

    def generate(self, prompt: str | None = None, *, seed: Seed = None, **settings: Any) -> str:
        """Return the text that continues the prompt, without the prompt itself.

        Args:
            prompt: 1 to block_size tokens of text, in which a special token's name stands for the token.
                None begins a new text: after `bos_token_id`, or after a newline if there is none.
            seed: the same seed gives the same text; None gives another one each time. A beam search needs
                none.
            **settings: fields of `GenerationSettings`, whose defaults apply to the rest, e.g.
                `max_new_tokens=200`, `temperature=0.7`, `top_p=0.9`, `stop=["."]`, `beams=4`.

        Raises:
            InputError: a prompt that is empty, too long or has unknown characters, or a bad setting.
        """
        return "".join(self.stream(prompt, seed=seed, **settings))

    def stream(self, prompt: str | None = None, *, seed: Seed = None, **settings: Any) -> Iterator[str]:
        """Yield what `generate` returns piece by piece, as soon as each token is known.

        Text that may be the start of a stop string is held back. A beam search yields its text in one piece.
        """
        pieces = self.generator.stream([self.prompt_ids(prompt)], _checked(settings), seed)
        return (piece for _, piece in pieces)

    def stream_tokens(
        self, prompt: str | None = None, *, seed: Seed = None, n_alternatives: int = 0, **settings: Any
    ) -> TokenStream:
        """Return an iterator over the tokens of what `generate` returns, with their log-probabilities.

        It yields `GeneratedToken`s; afterwards its `finish_reason` says why the text ended.

        Args:
            prompt: see `generate`.
            seed: see `generate`.
            n_alternatives: how many of the likeliest tokens to report with each token.
            **settings: see `generate`.

        Raises:
            InputError: what `generate` raises, or a beam search, which has no token-by-token output.
        """
        (tokens,) = self.generator.stream_tokens(
            [self.prompt_ids(prompt)], _checked(settings), seed, n_alternatives
        )
        return tokens

    def generate_batch(
        self, prompts: Sequence[str | None], *, seed: Seed = None, num_samples: int = 1, **settings: Any
    ) -> list[str]:
        """Return the texts that continue several prompts, which go through the model together.

        The prompts may have different lengths. Text i is what `generate` returns with `seed + i`, or with the
        i-th of several seeds, whatever else is in the batch.

        Args:
            prompts: see `generate`.
            seed: of the first text, or one per text.
            num_samples: texts per prompt, one after the other; a beam search returns its best ones.
            **settings: see `generate`.

        Raises:
            InputError: what `generate` raises, or fewer than one sample.
        """
        if type(num_samples) is not int or num_samples < 1:
            raise InputError(f"num_samples is {num_samples!r}; expected a whole number of at least 1")
        if isinstance(prompts, str):
            raise InputError(f"prompts is {prompts!r}; expected a list of texts, e.g. [{prompts!r}]")
        if settings.pop("prompt", None) is not None:
            raise InputError("generate_batch takes `prompts`; leave out `prompt`")
        texts = [""] * (len(prompts) * num_samples)
        ids = [self.prompt_ids(prompt) for prompt in prompts]
        for row, piece in self.generator.stream(ids, _checked(settings), seed, num_samples):
            texts[row] += piece
        return texts

    def prompt_ids(self, prompt: str | None) -> list[int]:
        """Return the token ids of a prompt; of None, the token that a text begins with."""
        if prompt is not None:
            return self._encode(prompt).tolist()
        if self.bos_token_id is not None:
            return [self.bos_token_id]
        try:
            return self.tokenizer.encode("\n").tolist()
        except InputError:  # the vocabulary has no newline, so start from an arbitrary token
            return [self.tokenizer.vocab_size - 1]

    def save(self, folder: str | Path) -> None:
        """Write a folder from which `sg.load` returns the same model, bit for bit.

        Raises:
            InputError: the folder is not empty, or cannot be written to.
        """
        params = self.params.map(self.backend.to_host)
        save_model(folder, self.model, params, self.tokenizer, self.bos_token_id, self.eos_token_ids)

    def score(self, text: str) -> TokenLogProbs:
        """Return the log-probability of every token of a text, given the tokens before it.

        `bos_token_id` is put in front and predicts the first token; without one, the first token has no
        prediction. A text longer than the context window is scored in sliding windows with a
        stride of half a window: every token is predicted once, with at least half a window of context where
        the text has that much.

        Args:
            text: at least 1 token; a special token's name stands for the token.

        Raises:
            InputError: unknown characters, or no token.
        """
        ids = self._encode(text)
        if not len(ids):
            raise InputError(f"the text is {text!r}, which has no tokens; expected at least 1")
        return token_log_probs(self.bound, self.tokenizer, ids, self.bos_token_id)

    def perplexity(self, text: str) -> float:
        """Return exp(-mean log p) over the predicted tokens of a text; see `score`.

        Raises:
            InputError: what `score` raises, or a single token without a prediction.
        """
        return self.score(text).perplexity

    def embed(self, text: str) -> Array:
        """Return the features of each token, the normalized residual stream after the last block: (T, C).

        Args:
            text: 1 to block_size tokens; a special token's name stands for the token. No token is added.

        Raises:
            InputError: unknown characters, no token, or too many.
        """
        return features(self.bound, self._encode(text))

    def attention(self, text: str) -> Array:
        """Return the attention of every token to every token: (n_layer, n_head, T, T); rows sum to 1.

        The text and the errors are those of `embed`.
        """
        return attention_maps(self.bound, self._encode(text))

    def _encode(self, text: str) -> Array:
        if not isinstance(text, str):
            raise InputError(f"the text is {text!r}; expected a string")
        return self.tokenizer.encode(text, allow_special=True)


def _checked(settings: dict[str, Any]) -> GenerationSettings:
    """Return the settings as an object, after checking them."""
    return from_mapping(GenerationSettings, settings, "generation.")
