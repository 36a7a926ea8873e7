"""A wrong argument of a library call is named, whatever its type."""

from collections.abc import Callable

import numpy as np
import pytest

import scratchgpt as sg

MODEL = sg.GPT(sg.GPTConfig(vocab_size=8, block_size=6, n_layer=1, n_head=1, n_embd=4))
LM = sg.LanguageModel(MODEL, MODEL.init(0), sg.CharTokenizer("abcdefgh"), sg.get_backend("reference"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LM.generate("a", seed=1.5), "seed is 1.5; expected a whole number"),  # type: ignore[arg-type]
        (lambda: LM.generate("a", seed=True), "seed is True; expected a whole number"),
        (lambda: LM.generate("a", seed=np.random.default_rng(0)), "seed is Generator"),  # type: ignore[arg-type]
        (lambda: LM.generate("a", seed="a"), "seed is 'a'; expected a whole number"),  # type: ignore[arg-type]
        (lambda: LM.generate("a", seed=-1), "seed is -1; expected a whole number of at least 0"),
        (lambda: LM.generate(5), "expected a string"),  # type: ignore[arg-type]
        (lambda: LM.generate_batch(["a"], num_samples=1.5), "num_samples is 1.5"),  # type: ignore[arg-type]
        (lambda: LM.generate_batch(["a"], num_samples=True), "num_samples is True"),
        (lambda: LM.generate_batch("abc"), "prompts is 'abc'; expected a list of texts"),
        (lambda: LM.generate_batch([1]), "expected a string"),  # type: ignore[list-item]
        (lambda: LM.stream_tokens("a", n_alternatives=1.5), "n_alternatives is 1.5"),  # type: ignore[arg-type]
        (lambda: LM.score(None), "the text is None; expected a string"),  # type: ignore[arg-type]
        (lambda: LM.perplexity(5), "the text is 5; expected a string"),  # type: ignore[arg-type]
        (lambda: LM.embed(b"a"), "the text is b'a'; expected a string"),  # type: ignore[arg-type]
        (lambda: LM.attention(None), "the text is None; expected a string"),  # type: ignore[arg-type]
        (lambda: sg.load(None), "the model is None; expected a folder"),  # type: ignore[arg-type]
        (
            lambda: LM.generate("a", frequency_penalty=-1e308),
            r"frequency_penalty is -1e\+308; expected a number",
        ),
        (lambda: LM.generate("a", repetition_penalty=1e308), r"repetition_penalty is 1e\+308; expected"),
        (lambda: sg.GPTConfig(vocab_size=8, n_layer=10**9), "n_layer is 1000000000; expected at most 10,000"),
    ],
)
def test_the_error_names_the_argument(call: Callable[[], object], words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        call()
