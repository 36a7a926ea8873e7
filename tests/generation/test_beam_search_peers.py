"""Beam search against that of transformers: the same texts in the same order, and their scores."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[peers]'")

from transformers import GenerationConfig, GPT2LMHeadModel  # noqa: E402

import scratchgpt as sg  # noqa: E402
from benchmarks.hf_gpt2 import with_weights_of  # noqa: E402
from scratchgpt.generation import GenerationSettings  # noqa: E402
from scratchgpt.generation.beam_search import Hypothesis, beam_search  # noqa: E402

pytestmark = pytest.mark.peers

CONFIG = sg.GPTConfig(vocab_size=29, block_size=32, n_layer=2, n_head=2, n_embd=16)
N_NEW = 12
SEEDS = range(2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: on a model this small several only wait for each other."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def random_model(seed: int) -> tuple[sg.GPT, sg.ParamVector, GPT2LMHeadModel, list[int]]:
    """Return a model of ours, the same of theirs, and a prompt."""
    model = sg.GPT(CONFIG)
    rng = np.random.default_rng(seed)
    params = model.init(seed, "float64")
    for name, view in params.items():
        view[...] = 0.4 * rng.standard_normal(view.shape) + (name.endswith(("ln_1.weight", "ln_2.weight")))
    prompt = rng.integers(0, CONFIG.vocab_size, int(rng.integers(1, 9))).tolist()
    return model, params, with_weights_of(CONFIG, params).double(), prompt


def theirs(
    model: GPT2LMHeadModel, prompt: list[int], eos_ids: list[int], **settings: Any
) -> list[Hypothesis]:
    """Return what transformers finds, without the padding after an end."""
    tokens = torch.tensor([prompt])
    config = GenerationConfig(
        max_new_tokens=N_NEW,
        do_sample=False,
        eos_token_id=eos_ids or None,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_scores=True,
        num_return_sequences=settings["num_beams"],
        **settings,
    )
    found = model.generate(tokens, attention_mask=torch.ones_like(tokens), generation_config=config)
    texts = [text[len(prompt) :].tolist() for text in found.sequences]
    lengths = [next((i + 1 for i, token in enumerate(text) if token in eos_ids), len(text)) for text in texts]
    scores = found.sequences_scores.tolist()
    return [Hypothesis(tuple(text[:n]), s) for text, n, s in zip(texts, lengths, scores, strict=True)]


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [-0.5, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("beams", [2, 3, 8])
def test_texts_and_scores_equal_transformers(beams: int, length_penalty: float, early_stopping: Any) -> None:
    n_ended = n_cut = 0
    for seed in SEEDS:
        model, params, peer, prompt = random_model(seed)
        for eos_ids in ([], *ends_that_occur(model, params, prompt, beams)):
            expected = theirs(
                peer,
                prompt,
                eos_ids,
                num_beams=beams,
                length_penalty=length_penalty,
                early_stopping=early_stopping,
            )
            settings = GenerationSettings(
                beams=beams,
                max_new_tokens=N_NEW,
                length_penalty=length_penalty,
                early_stopping=early_stopping,
            )
            bound = sg.BoundModel(model, params, sg.get_backend())
            found = beam_search(bound, prompt, settings, eos_ids=eos_ids)
            assert [each.tokens for each in found] == [each.tokens for each in expected], (seed, eos_ids)
            np.testing.assert_allclose(
                [each.score for each in found], [each.score for each in expected], rtol=0, atol=1e-4
            )
            n_ended += sum(each.tokens[-1] in eos_ids for each in found)
            n_cut += sum(each.tokens[-1] not in eos_ids for each in found)
    assert n_ended > 0
    assert n_cut > 0


def ends_that_occur(model: sg.GPT, params: sg.ParamVector, prompt: list[int], beams: int) -> list[list[int]]:
    """Return ends, one token or two, that stand in the texts of a search without ends."""
    bound = sg.BoundModel(model, params, sg.get_backend())
    found = beam_search(bound, prompt, GenerationSettings(beams=beams, max_new_tokens=N_NEW))
    tokens = list(dict.fromkeys(token for each in found for token in each.tokens))
    return [[tokens[0]], [tokens[-1]], [tokens[len(tokens) // 2], tokens[-1]]]
