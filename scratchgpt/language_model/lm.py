"""A language model: structure, weights and tokenizer together, ready to write text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.evaluation.scoring import Scored, score_text
from scratchgpt.generation.sampling import Seed
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.generation.token_stream import TokenStream
from scratchgpt.generation.writing import Writer
from scratchgpt.inspection.attention_maps import attention_maps
from scratchgpt.inspection.residual import features
from scratchgpt.language_model.saving import save_model
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.utils.validation import from_mapping


@dataclass
class LanguageModel:
    """What `sg.load` returns.

    Attributes:
        model: the structure.
        params: its weights.
        tokenizer: text to token ids and back.
        backend: where it computes.
        bos_token_id: the token that every text begins with, if the training text had one.
        eos_token_ids: the tokens that a text or a turn of it ends with; generation stops at any of them.
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
                f"the tokenizer has {self.tokenizer.vocab_size} symbols; "
                f"expected at most the model's vocab_size = {self.model.config.vocab_size}"
            )

    def generate(
        self,
        prompt: str | None = None,
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: Seed = None,
        **settings: Any,
    ) -> str:
        """Return the text that continues the prompt; the prompt itself is not repeated.

        Args:
            prompt: 1 to block_size tokens of text, in which names of special tokens are these tokens; None
                begins a text: after `bos_token_id`, or after a line end where there is none.
            max_new_tokens: how many tokens to generate, at most: the text may end before.
            temperature: 0 always takes the likeliest token; 1 samples the model's distribution.
            top_k: sample among the k likeliest tokens only; None or 0 means among all.
            seed: the same seed gives the same text; None gives another each time. A beam search needs none.
            **settings: other fields of `GenerationSettings`, as `top_p=0.9` or `stop=["."]`.

        Raises:
            InputError: a prompt with unknown characters, empty or too long, or a bad setting.
        """
        return "".join(self.stream(prompt, max_new_tokens, temperature, top_k, seed, **settings))

    def stream(
        self,
        prompt: str | None = None,
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: Seed = None,
        **settings: Any,
    ) -> Iterator[str]:
        """Yield what `generate` returns piece by piece, as soon as each token is known.

        What may be the beginning of a stop string is held back. A beam search yields its text in one piece.
        """
        chosen = _chosen(settings, prompt, max_new_tokens, temperature, top_k)
        return (piece for _, piece in self._writer.write([self.prompt_ids(prompt)], chosen, seed))

    def stream_tokens(
        self,
        prompt: str | None = None,
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: Seed = None,
        *,
        n_alternatives: int = 0,
        **settings: Any,
    ) -> TokenStream:
        """Return the tokens of what `generate` returns, with their log-probabilities, to be iterated over.

        Each is a `GeneratedToken`; afterwards `finish_reason` of the stream says why the text ended.

        Args:
            prompt, max_new_tokens, temperature, top_k, seed, **settings: as for `generate`.
            n_alternatives: how many of the likeliest tokens to name beside each.

        Raises:
            InputError: what `generate` raises, or a beam search, which knows its tokens only at the end.
        """
        chosen = _chosen(settings, prompt, max_new_tokens, temperature, top_k)
        return self._writer.tokens(self.prompt_ids(prompt), chosen, seed, n_alternatives)

    def generate_batch(
        self,
        prompts: Sequence[str | None],
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: Seed = None,
        *,
        num_samples: int = 1,
        **settings: Any,
    ) -> list[str]:
        """Return the texts that continue several prompts, which go through the model together.

        The prompts need not be of one length. Text i is what `generate` would return with `seed + i`, or with
        number i of several seeds, whatever else is in the batch. The errors are those of `generate`.

        Args:
            prompts: what to continue.
            max_new_tokens, temperature, top_k, **settings: as for `generate`.
            seed: the first text's, or one for each.
            num_samples: how many texts continue each prompt; they come one after the other. A beam search
                returns its best ones.
        """
        if type(num_samples) is not int or num_samples < 1:
            raise InputError(f"num_samples is {num_samples!r}; expected a whole number of at least 1")
        if isinstance(prompts, str):
            raise InputError(f"prompts is {prompts!r}; expected a list of texts, as [{prompts!r}]")
        if settings.pop("prompt", None) is not None:
            raise InputError("prompt is given; expected none beside prompts")
        chosen = _chosen(settings, None, max_new_tokens, temperature, top_k)
        texts = [""] * (len(prompts) * num_samples)
        ids = [self.prompt_ids(prompt) for prompt in prompts]
        for row, piece in self._writer.write(ids, chosen, seed, num_samples):
            texts[row] += piece
        return texts

    @property
    def _writer(self) -> Writer:
        return Writer(self.model, self.params, self.tokenizer, self.backend, self.eos_token_ids)

    def prompt_ids(self, prompt: str | None) -> list[int]:
        """Return the tokens of a prompt, or those that a text begins with."""
        if prompt is not None:
            return self._encode(prompt).tolist()
        if self.bos_token_id is not None:
            return [self.bos_token_id]
        try:
            return self.tokenizer.encode("\n").tolist()
        except InputError:  # the vocabulary has no line end; any token has to do
            return [self.tokenizer.vocab_size - 1]

    def save(self, folder: str | Path) -> None:
        """Write a folder that `sg.load` opens: the same model, bit for bit.

        Raises:
            InputError: the folder holds something already, or cannot be written to.
        """
        params = self.params.map(self.backend.to_host)
        save_model(folder, self.model, params, self.tokenizer, self.bos_token_id, self.eos_token_ids)

    def score(self, text: str) -> Scored:
        """Return the log-probability of every token of a text, given those before it.

        `bos_token_id` is put in front and predicts the first token; a model without one does not predict it.
        A text longer than the block is read in windows that go on by half a block: every token is predicted
        once, and has half a block or more before it where there is so much.

        Args:
            text: 1 token or more, of any length; names of special tokens are these tokens.

        Raises:
            InputError: unknown characters, or no token.
        """
        ids = self._encode(text)
        if not len(ids):
            raise InputError(f"the text is {text!r}, which has no token; expected 1 or more")
        return score_text(self.model, self.params, self.tokenizer, ids, self.bos_token_id, self.backend)

    def perplexity(self, text: str) -> float:
        """Return exp(-mean log p) over the tokens that are predicted; all is as for `score`.

        Raises:
            InputError: what `score` raises, or a single token that nothing predicts.
        """
        return self.score(text).perplexity

    def embed(self, text: str) -> Array:
        """Return what the head reads of each token, the normalised stream after the last block: (T, C).

        Args:
            text: 1 to block_size tokens; names of special tokens are these tokens, and none is put in front.

        Raises:
            InputError: unknown characters, no token, or too many.
        """
        return features(self.model, self.params, self._encode(text), self.backend)

    def attention(self, text: str) -> Array:
        """Return how much each token looks at each: (n_layer, n_head, T, T), every row a distribution.

        The text and the errors are those of `embed`.
        """
        return attention_maps(self.model, self.params, self._encode(text), self.backend)

    def _encode(self, text: str) -> Array:
        if not isinstance(text, str):
            raise InputError(f"the text is {text!r}; expected text")
        return self.tokenizer.encode(text, allow_special=True)


def _chosen(
    settings: Mapping[str, Any],
    prompt: str | None,
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
) -> GenerationSettings:
    """Return all settings together, after checking them."""
    named = {"prompt": prompt, "max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k}
    return from_mapping(GenerationSettings, named | dict(settings), "generation.")
