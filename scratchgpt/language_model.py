"""A language model: structure, weights and tokenizer together, ready to write text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.generation import generate_batch
from scratchgpt.model import GPT
from scratchgpt.params import ParamVector
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import stream_text


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
        seed: int | None = None,
    ) -> str:
        """Return the text that continues the prompt; the prompt itself is not repeated.

        Args:
            prompt: 1 to block_size tokens of text, in which names of special tokens are these tokens; None
                begins a text: after `bos_token_id`, or after a line end where there is none.
            max_new_tokens: how many tokens to generate, at most: the text may end before.
            temperature: 0 always takes the likeliest token; 1 samples the model's distribution.
            top_k: sample among the k likeliest tokens only; None or 0 means among all.
            seed: the same seed gives the same text; None gives another each time.

        Raises:
            InputError: a prompt with unknown characters, empty or too long, or a bad setting.
        """
        return "".join(self.stream(prompt, max_new_tokens, temperature, top_k, seed))

    def stream(
        self,
        prompt: str | None = None,
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Yield what `generate` returns piece by piece, as soon as each token is known."""
        batches = self._batches([prompt], max_new_tokens, temperature, top_k, seed)
        tokens = (token for (token,) in batches)
        text = takewhile(lambda token: token not in self.eos_token_ids, tokens)
        return stream_text(self.tokenizer, text, goes_on=True)

    def generate_batch(
        self,
        prompts: Sequence[str],
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """Return the texts that continue several prompts, which go through the model together.

        The prompts need not be of one length. Prompt i is continued as `generate` would with
        `seed + i`; the other arguments and the errors are those of `generate`.
        """
        batches = self._batches(prompts, max_new_tokens, temperature, top_k, seed)
        texts: list[list[int]] = [[] for _ in prompts]
        running = set(range(len(prompts)))
        for tokens in batches:
            running -= {i for i in running if tokens[i] in self.eos_token_ids}
            for i in running:
                texts[i].append(tokens[i])
            if not running:
                break
        return ["".join(stream_text(self.tokenizer, text, goes_on=True)) for text in texts]

    def _batches(
        self,
        prompts: Sequence[str | None],
        max_new_tokens: int,
        temperature: float,
        top_k: int | None,
        seed: int | None,
    ) -> Iterator[list[int]]:
        """Yield the next token of every prompt, again and again."""
        return generate_batch(
            self.model,
            self.params,
            [self._ids(prompt) for prompt in prompts],
            max_new_tokens,
            backend=self.backend,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
            vocab_size=self.tokenizer.vocab_size,
        )

    def _ids(self, prompt: str | None) -> list[int]:
        """Return the tokens of a prompt, or those that a text begins with."""
        if prompt is not None:
            return self.tokenizer.encode(prompt, allow_special=True).tolist()
        if self.bos_token_id is not None:
            return [self.bos_token_id]
        try:
            return self.tokenizer.encode("\n").tolist()
        except InputError:  # the vocabulary has no line end; any token has to do
            return [self.tokenizer.vocab_size - 1]
