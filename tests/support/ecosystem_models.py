"""Models for the tests of other programs' formats: small, with weights so large that differences show."""

from dataclasses import replace

import numpy as np

import scratchgpt as sg
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer

END = "<|endoftext|>"
TEXT = "the quick brown fox\njumps over the lazy dog. e\u0301 \u2028\t👩‍👩‍👧 <"
SMALL = sg.GPTConfig(300, 16, n_layer=2, n_head=2, n_embd=16, init_std=0.3)
CONFIGS = {
    "tied": SMALL,
    "untied": replace(SMALL, tie_weights=False),
    "no biases": replace(SMALL, bias=False),
    "exact GELU, narrow MLP, other eps, dropout": replace(
        SMALL, activation="gelu_exact", n_inner=7, layer_norm_epsilon=1e-2, dropout=0.25
    ),
}


def language_model(config: sg.GPTConfig, tokenizer: Tokenizer | None = None, seed: int = 0) -> LanguageModel:
    """Return a model with random weights, biases and all, whose texts end with END."""
    tokenizer = tokenizer or ByteTokenizer([END])
    model = sg.GPT(config)
    params = model.init(seed)
    params.flat += 0.1 * np.random.default_rng(seed).standard_normal(params.size, np.float32)
    end = tokenizer.special_ids[END]
    return LanguageModel(model, params, tokenizer, sg.get_backend(), end, (end,))


def characters() -> CharTokenizer:
    """Return a tokenizer of characters with special tokens."""
    return CharTokenizer.train(TEXT, unk=True, specials=[END])


def logits(lm: LanguageModel) -> np.ndarray:
    """Return the logits of some tokens, which every model of one vocabulary is asked for."""
    return sg.logits(lm.model, lm.params, tokens(lm.model.config))


def tokens(config: sg.GPTConfig) -> np.ndarray:
    """Return two rows of random tokens."""
    return np.random.default_rng(7).integers(0, config.vocab_size, (2, config.block_size))


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, as a part of the largest expected number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
