"""Dialogues: their format, which tokens count in the loss, and the two schemas."""

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt import tokenizers
from scratchgpt.checkpoint import save_weights
from scratchgpt.corpora import Corpus, builtin
from scratchgpt.corpora.builtin import numbered
from scratchgpt.corpora.corpus import Format, Piece
from scratchgpt.corpora.dialogue import (
    SCHEMAS,
    daily_dialogs,
    dialogue_corpus,
    dialogue_pieces,
    prosocial_dialogs,
)
from scratchgpt.corpora.jsonl import Row
from scratchgpt.corpora.sources import open_corpus
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import CharTokenizer
from scratchgpt.training.settings import CorpusSettings

DAILY = [
    {"dialog": ["Say , Jim ! ", " You know that is tempting . ", "Good ."], "act": [3, 4, 1]},
    {"dialog": ["Can you do push-ups ?", "Of course I can ."], "act": [2, 1]},
]
PROSOCIAL = [
    {"context": "I quit.", "response": "Why?", "dialogue_id": 0, "response_id": 0, "episode_done": False},
    {"context": "Bored.", "response": "Rest.", "dialogue_id": 0, "response_id": 1, "episode_done": True},
    {"context": "Hello.", "response": "Hi.", "dialogue_id": 1, "response_id": 0, "episode_done": True},
]


def written(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def rows(values: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    return numbered(values, "test")


def test_every_schema_is_a_format() -> None:
    assert set(SCHEMAS) < set(get_args(Format))
    assert {field.name: field.type for field in dataclasses.fields(CorpusSettings)}["format"] is Format


def test_a_dialogue_is_written_with_special_tokens_between_the_turns() -> None:
    pieces = list(dialogue_pieces(["How are you?", "Fine.", "Good."]))
    assert written(pieces) == "<s> User: How are you?<sep> Bot: Fine.<sep> User: Good.</s>"
    assert [piece.text for piece in pieces if piece.special] == ["<s>", "<sep>", "<sep>", "</s>"]
    assert [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(piece.in_loss for piece in pieces)


def test_with_bot_only_the_bots_turns_and_their_end_tokens_count() -> None:
    pieces = list(dialogue_pieces(["a", "b", "c", "d"], bot_only=True))
    assert [piece.text for piece in pieces if piece.in_loss] == [" b", "<sep>", " d", "</s>"]


def test_the_token_after_the_users_last_turn_does_not_count() -> None:
    pieces = list(dialogue_pieces(["a", "b", "c"], bot_only=True))
    assert [piece.text for piece in pieces if piece.in_loss] == [" b", "<sep>"]


def test_a_silent_bot_learns_to_stop() -> None:
    pieces = list(dialogue_pieces(["a", "", "c"], bot_only=True))
    assert written(pieces) == "<s> User: a<sep> Bot:<sep> User: c</s>"
    assert [piece.text for piece in pieces if piece.in_loss] == ["<sep>"]


@given(st.lists(st.text(), min_size=1, max_size=6))
def test_bot_only_changes_no_piece(turns: list[str]) -> None:
    both, bot = (list(dialogue_pieces(turns, bot_only)) for bot_only in (False, True))
    assert [piece._replace(in_loss=True) for piece in bot] == both


def test_every_row_of_daily_dialog_is_a_dialogue() -> None:
    turns = [
        ["Say , Jim !", "You know that is tempting .", "Good ."],
        ["Can you do push-ups ?", "Of course I can ."],
    ]
    assert list(daily_dialogs(rows(DAILY))) == turns
    assert list(daily_dialogs(rows({"utterances": row["dialog"]} for row in DAILY))) == turns


def test_consecutive_rows_of_one_id_are_a_prosocial_dialogue() -> None:
    assert list(prosocial_dialogs(rows(PROSOCIAL))) == [
        ["I quit.", "Why?", "Bored.", "Rest."],
        ["Hello.", "Hi."],
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"turns": ["a"]}, "test, row 0 has no field 'dialog'; its fields are 'turns'"),
        ({"dialog": "a"}, "test, row 0: 'dialog' holds text; expected a list of turns"),
        ({"dialog": ["a", 3]}, "test, row 0: 'dialog' holds a number; expected text"),
        ({"dialog": []}, "test, row 0: the dialogue is empty"),
        ({"dialog": ["", " "]}, "test, row 0: the dialogue is empty"),
    ],
)
def test_bad_daily_dialog_rows(row: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(daily_dialogs(rows([row])))


@pytest.mark.parametrize("field", ["context", "response", "dialogue_id"])
def test_a_prosocial_row_needs_its_three_fields(field: str) -> None:
    row = {name: value for name, value in PROSOCIAL[0].items() if name != field}
    with pytest.raises(InputError, match=f"test, row 0 has no field '{field}'"):
        list(prosocial_dialogs(rows([row])))


@pytest.mark.parametrize(("format", "values"), [("daily-dialog", DAILY), ("prosocial-dialog", PROSOCIAL)])
def test_dialogues_from_a_file_are_separate_examples(
    tmp_path: Path, format: str, values: list[dict[str, Any]]
) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")
    corpus = open_corpus(str(path), format=format, bot_only=True)
    assert (corpus.name, corpus.padded, corpus.bos, corpus.eos) == ("talk", True, "<s>", ("</s>", "<sep>"))
    assert corpus.prompt == "<s> User: Hello.<sep> Bot:"
    assert corpus.specials == ("<pad>", "<s>", "<sep>", "</s>")
    pieces = list(corpus.pieces())
    assert sum(piece.ends for piece in pieces) == 2
    assert {piece.text for piece in pieces if piece.special} <= set(corpus.specials)
    assert not any(piece.in_loss for piece in pieces if piece.text in (" Bot:", " User:", "<s>"))


@pytest.mark.peers
@pytest.mark.filterwarnings("default")  # warnings of the package are not ours to fix
@pytest.mark.parametrize(("name", "values"), [("daily-dialog", DAILY), ("prosocial-dialog", PROSOCIAL)])
def test_rows_from_the_package_datasets_become_the_same_dialogues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, values: list[dict[str, Any]]
) -> None:
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")
    load, asked = datasets.load_dataset, []

    def load_local(address: str, *, revision: str, split: str) -> Any:
        asked.append((address, revision))
        return load("json", data_files=str(path), split=split, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", load_local)
    from_hub = list(open_corpus(name, bot_only=True).pieces())
    assert from_hub == list(open_corpus(str(path), format=name, bot_only=True).pieces())
    assert len(asked) == 1


@pytest.mark.peers
@pytest.mark.filterwarnings("default")
def test_without_the_hub_the_message_names_an_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setitem(builtin.HUB_DATASETS, "daily-dialog", ("scratchgpt/nothing", "main"))
    with pytest.raises(
        InputError, match=r"cannot load scratchgpt/nothing .* check the connection, or .*JSON"
    ):
        open_corpus("daily-dialog")


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'scratchgpt\[datasets\]'"):
        open_corpus("prosocial-dialog")


def test_the_generation_config_lists_every_end_token_as_hugging_face_does(tmp_path: Path) -> None:
    ids = {"<s>": 7, "<sep>": 8, "</s>": 9, "<|endoftext|>": 5}
    dialogues = dialogue_corpus("talk", lambda: iter([]), bot_only=False)
    assert dialogues.generation_config(ids) == {"bos_token_id": 7, "eos_token_id": [9, 8]}
    text = Corpus("text", lambda: iter([]))
    assert text.generation_config(ids) == {}
    documents = Corpus("texts", lambda: iter([]), ("<|endoftext|>",), eos=("<|endoftext|>",))
    assert documents.generation_config(ids) == {"bos_token_id": 5, "eos_token_id": 5}


def saved_model(folder: Path, ends: object) -> sg.LanguageModel:
    """Return a model that was saved with these end tokens in its generation_config.json."""
    model = sg.GPT(sg.GPTConfig(vocab_size=6, block_size=16, n_layer=1, n_head=1, n_embd=8))
    params = model.init(seed=0)
    save_weights(folder / "best.safetensors", params, {})
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(model.config)), encoding="utf-8")
    tokenizers.save(CharTokenizer("abcdef"), folder)
    content = {"bos_token_id": 0, "eos_token_id": ends}
    (folder / "generation_config.json").write_text(json.dumps(content), encoding="utf-8")
    return sg.load(folder)


@pytest.mark.parametrize(("ends", "letters"), [(3, "d"), ([3, 1], "db"), (None, "")])
def test_generation_stops_at_any_end_token(tmp_path: Path, ends: object, letters: str) -> None:
    model = saved_model(tmp_path, ends)
    endless = dataclasses.replace(model, eos_token_ids=())
    prompts = ["a", "c", "fe"]
    for seed in range(5):
        whole = [
            endless.generate(prompt, max_new_tokens=40, seed=seed + i) for i, prompt in enumerate(prompts)
        ]
        cut = [re.split(f"[{letters}]", text)[0] if letters else text for text in whole]
        assert [
            model.generate(prompt, max_new_tokens=40, seed=seed + i) for i, prompt in enumerate(prompts)
        ] == cut
        assert model.generate_batch(prompts, max_new_tokens=40, seed=seed) == cut


@pytest.mark.parametrize("ends", ["</s>", [3, None], 1.5])
def test_end_tokens_that_are_not_ids_are_named(tmp_path: Path, ends: object) -> None:
    with pytest.raises(InputError, match=r"generation_config\.json: token id is .*; expected a whole number"):
        saved_model(tmp_path, ends)
