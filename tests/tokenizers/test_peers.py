"""Identical ids to tiktoken and to Hugging Face's tokenizers and transformers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scratchgpt import tokenizers
from scratchgpt.tokenizers import BPETokenizer
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.gpt2_files import load_gpt2
from scratchgpt.tokenizers.huggingface_reading import from_json
from scratchgpt.tokenizers.split_patterns import GPT2, GPT4
from tests.support.project import ROOT
from tests.support.tokenizer_texts import varied_texts

pytestmark = pytest.mark.peers

# They contain only characters that Python's Unicode version knows. `regex` knows newer letters than the two
# libraries: version 2026.11 has 17,144 more than tiktoken 0.14 and tokenizers 0.23, none of them assigned in
# Unicode 14. On all other characters the three agree on what is a letter, a number and white space.
TEXTS = varied_texts(2000, seed=6)
FABLES = (ROOT / "data" / "fables.txt").read_text(encoding="utf-8")
END = "<|endoftext|>"


@pytest.fixture(scope="module")
def gpt2(shared: Path) -> BPETokenizer:
    return load_gpt2(shared / "data" / "gpt2")


@pytest.fixture(
    scope="module", params=[GPT2, pytest.param(GPT4, marks=pytest.mark.slow)], ids=["gpt2", "gpt4"]
)
def trained(request: pytest.FixtureRequest) -> BPETokenizer:
    texts = [FABLES, *varied_texts(300, seed=1)]
    return train_bpe(count_chunks(texts, request.param), 1500, request.param, ["<sep>", END])


def in_tiktoken(tokenizer: BPETokenizer) -> Any:
    tiktoken = pytest.importorskip("tiktoken")
    return tiktoken.Encoding(
        "ours",
        pat_str=tokenizer.pattern,
        mergeable_ranks=tokenizer.token_ids,
        special_tokens=tokenizer.special_ids,
    )


def test_gpt2_gives_the_ids_of_tiktoken(
    gpt2: BPETokenizer, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # no copies in a cache
    folder = shared / "data" / "gpt2"
    ranks = data_gym_to_mergeable_bpe_ranks(str(folder / "vocab.bpe"), str(folder / "encoder.json"))
    theirs = tiktoken.Encoding("gpt2", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={END: 50256})
    for text in TEXTS:
        ids = gpt2.encode(text).tolist()
        assert ids == theirs.encode_ordinary(text), text
        assert gpt2.decode(ids) == theirs.decode(ids) == text
    text = f"one{END}two {END}"
    assert gpt2.encode(text).tolist() == theirs.encode_ordinary(text)
    assert gpt2.encode(text, allow_special=True).tolist() == theirs.encode(text, allowed_special="all")


@pytest.mark.slow
def test_gpt2_gives_the_ids_of_transformers(gpt2: BPETokenizer, shared: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for ours, theirs_name in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
        shutil.copy(shared / "data" / "gpt2" / ours, tmp_path / theirs_name)
    classes = {transformers.GPT2Tokenizer, transformers.GPT2TokenizerFast}  # one class since transformers 5
    for theirs in [cls.from_pretrained(tmp_path) for cls in classes]:
        ids = [gpt2.encode(text).tolist() for text in TEXTS]
        assert ids == theirs(TEXTS, add_special_tokens=False)["input_ids"]
        assert theirs.batch_decode(ids, clean_up_tokenization_spaces=False) == TEXTS
    assert tokenizers.load(tmp_path).to_bytes() == gpt2.to_bytes()
    theirs.save_pretrained(tmp_path / "saved")
    assert tokenizers.load(tmp_path / "saved").to_bytes() == gpt2.to_bytes()


def test_a_trained_tokenizer_works_in_tiktoken(trained: BPETokenizer) -> None:
    theirs = in_tiktoken(trained)
    for text in TEXTS:
        ids = trained.encode(text).tolist()
        assert ids == theirs.encode_ordinary(text), text
        assert trained.decode(ids) == text


def test_the_gpt4_pattern_splits_like_the_one_that_tiktoken_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    from tiktoken_ext import openai_public

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *args, **kwargs: {})  # a download
    published = openai_public.cl100k_base()["pat_str"]
    ours = train_bpe(count_chunks([FABLES, *TEXTS[:300]], GPT4), 600, GPT4, [])
    theirs = tiktoken.Encoding("x", pat_str=published, mergeable_ranks=ours.token_ids, special_tokens={})
    for text in TEXTS:
        assert ours.encode(text).tolist() == theirs.encode_ordinary(text), text


def test_a_trained_tokenizer_works_in_hugging_faces_library(trained: BPETokenizer) -> None:
    theirs = pytest.importorskip("tokenizers").Tokenizer.from_str(trained.to_bytes().decode())
    assert theirs.get_vocab_size() == trained.vocab_size
    for text in TEXTS:
        ids = trained.encode(text).tolist()
        assert ids == theirs.encode(text).ids, text
        assert theirs.decode(ids) == text
    text = f"a<sep> b{END}{END} <sep"
    ids = trained.encode(text, allow_special=True).tolist()
    assert ids == theirs.encode(text).ids  # it always parses special tokens
    assert theirs.decode(ids, skip_special_tokens=False) == trained.decode(ids) == text
    assert theirs.decode(ids) == "a b <sep"
    every = list(range(trained.vocab_size))
    assert theirs.decode(every, skip_special_tokens=False) == trained.decode(every)  # invalid UTF-8, too


@pytest.mark.parametrize("pattern", [None, pytest.param(GPT4, marks=pytest.mark.slow)], ids=["gpt2", "gpt4"])
def test_a_tokenizer_trained_by_hugging_faces_library_works_here(pattern: str | None) -> None:
    hf = pytest.importorskip("tokenizers")
    theirs = hf.Tokenizer(hf.models.BPE())
    byte_level = hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    theirs.pre_tokenizer = byte_level
    if pattern:
        split = hf.pre_tokenizers.Split(hf.Regex(pattern), "isolated")
        theirs.pre_tokenizer = hf.pre_tokenizers.Sequence([split, byte_level])
    theirs.decoder = hf.decoders.ByteLevel()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=["<s>", END],
        initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator([FABLES, *varied_texts(300, seed=2)], trainer)
    theirs.add_tokens(["<tool>"])
    content = json.loads(theirs.to_str())
    ours = from_json(json.dumps(content).encode(), "theirs.json")
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]  # as older files
    older = from_json(json.dumps(content).encode(), "older.json")
    assert older.to_bytes() == ours.to_bytes()
    assert ours.vocab_size == theirs.get_vocab_size()
    assert ours.special_ids == {"<s>": 0, END: 1, "<tool>": 1200}
    assert ours.pattern == (pattern or GPT2)
    for text in TEXTS:
        ids = ours.encode(text).tolist()
        assert ids == theirs.encode(text).ids, text
        assert ours.decode(ids) == theirs.decode(ids) == text
    again = hf.Tokenizer.from_str(ours.to_bytes().decode())
    text = f"<s>{FABLES}<tool>{END}"
    assert again.encode(text).ids == theirs.encode(text).ids == ours.encode(text, allow_special=True).tolist()
