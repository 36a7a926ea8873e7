"""A language model: structure, weights and tokenizer together, ready to write text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scratchgpt.backends import Backend, get_backend
from scratchgpt.checkpoint import load_weights
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.files import load_json
from scratchgpt.generation import generate_batch
from scratchgpt.model import GPT
from scratchgpt.params import ParamVector
from scratchgpt.tokenizers import CharTokenizer


@dataclass
class LanguageModel:
    """What `sg.load` returns.

    Attributes:
        model: the structure.
        params: its weights.
        tokenizer: text to token ids and back.
        backend: where it computes.
    """

    model: GPT
    params: ParamVector
    tokenizer: CharTokenizer
    backend: Backend

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
            prompt: 1 to block_size tokens of text; None starts as `default_prompt` says.
            max_new_tokens: how many tokens to generate.
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
        prompts = [self.default_prompt if prompt is None else prompt]
        batches = self._batches(prompts, max_new_tokens, temperature, top_k, seed)
        return (self.tokenizer.decode(tokens) for tokens in batches)

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
        for tokens in batches:
            for text, token in zip(texts, tokens, strict=True):
                text.append(token)
        return [self.tokenizer.decode(text) for text in texts]

    def _batches(
        self,
        prompts: Sequence[str],
        max_new_tokens: int,
        temperature: float,
        top_k: int | None,
        seed: int | None,
    ) -> Iterator[list[int]]:
        """Yield the next token of every prompt, again and again."""
        return generate_batch(
            self.model,
            self.params,
            [self.tokenizer.encode(prompt).tolist() for prompt in prompts],
            max_new_tokens,
            backend=self.backend,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
            vocab_size=self.tokenizer.vocab_size,
        )

    @property
    def default_prompt(self) -> str:
        """A line end if the vocabulary has one, since text starts after it; else its last symbol."""
        symbols = self.tokenizer.symbols
        return "\n" if "\n" in symbols else symbols[-1]


def load(path: str | Path, *, checkpoint: str | None = None, backend: Backend | None = None) -> LanguageModel:
    """Load a trained run.

    Args:
        path: the run's folder, e.g. "runs/fables".
        checkpoint: "best" (least validation loss) or "last"; None takes the best if there is one.
        backend: where to compute; None means `get_backend("numpy")`.

    Raises:
        InputError: no run there, or a file of it is missing, corrupted or of another shape.
    """
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} is not a run; expected a folder with a config.json, as train.py makes it")
    if checkpoint is None:
        checkpoint = "best" if (folder / "best.safetensors").exists() else "last"
    model = GPT(GPTConfig.from_dict(load_json(folder / "config.json")))
    tokenizer = CharTokenizer.load(folder / "tokenizer.json")
    params, _ = load_weights(folder / f"{checkpoint}.safetensors", model)
    backend = backend or get_backend()
    return LanguageModel(model, params.map(backend.to_device), tokenizer, backend)
