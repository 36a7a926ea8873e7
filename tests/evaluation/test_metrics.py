"""Bits per byte: the same for the same model of the same text, whichever tokens it is cut into."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.data import Part
from scratchgpt.evaluation.metrics import bits_per_byte, bytes_per_token, perplexity
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.split_patterns import GPT2

TEXT = "The crow çould sing, the crow could 😀 dance. " * 5


def tokenizers() -> list[Tokenizer]:
    bpe = train_bpe(count_chunks([TEXT], GPT2), 300, GPT2, ["<|endoftext|>"])
    return [CharTokenizer.train(TEXT), ByteTokenizer(["<s>"]), bpe]


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=["char", "byte", "bpe"])
def test_a_models_bits_per_byte_do_not_depend_on_its_tokens(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(TEXT)
    nats = 123.0  # of the whole text, however it is cut
    found = bits_per_byte(nats / len(ids), bytes_per_token(tokenizer, Part.of(ids)))
    assert found == pytest.approx(nats / math.log(2) / len(TEXT.encode()))


def test_special_tokens_have_no_bytes_and_what_is_not_learned_does_not_count() -> None:
    tokenizer = ByteTokenizer(["<s>"])
    ids = np.array([256, *tokenizer.encode("abc"), 256])
    assert bytes_per_token(tokenizer, Part.of(ids)) == 3 / 5
    loss_mask = np.array([0, 1, 1, 0, 1])
    assert bytes_per_token(tokenizer, Part(ids, np.array([5]), loss_mask)) == 2 / 3


@given(loss=st.floats(0, 1e6))
def test_perplexity_is_finite(loss: float) -> None:
    assert math.isfinite(perplexity(loss))
    assert perplexity(math.log(50257)) == pytest.approx(50257)
