"""Dialogues between a user and a bot, and the schemas of two data sets.

A dialogue is written as

    <s> User: How are you?<sep> Bot: Fine, thank you.<sep> User: Good.</s>

<s>, <sep> and </s> are special tokens. Every other part has one space before it and none after, so that its
words get the same tokens as within a sentence. The user has the first turn, and turns alternate.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.corpora.jsonl import Row, kind
from scratchgpt.errors import InputError
from scratchgpt.tokenizers.special_tokens import BOS, EOS, PAD, SEP

Turns = Sequence[str]
PROMPT = f"{BOS} User: Hello.{SEP} Bot:"


def dialogue_pieces(turns: Turns, bot_only: bool = False) -> Iterator[Piece]:
    """Yield the pieces of one dialogue.

    With `bot_only`, only the bot's turns count in the loss, including the token that ends each turn, so that
    the model learns to stop. " Bot:" and the <sep> before it do not count: in a chat, the program writes
    them. `bot_only` changes the loss mask, not the pieces or the tokens.
    """
    yield Piece(BOS, special=True, in_loss=not bot_only)
    for i, turn in enumerate(turns):
        is_bot, is_last = i % 2 == 1, i == len(turns) - 1
        in_loss = is_bot or not bot_only
        yield Piece(" Bot:" if is_bot else " User:", in_loss=not bot_only)
        if turn:  # an empty turn has no piece
            yield Piece(f" {turn}", in_loss=in_loss)
        yield Piece(EOS if is_last else SEP, special=True, in_loss=in_loss, ends=is_last)


def daily_dialogs(rows: Iterable[Row]) -> Iterator[Turns]:
    """Yield the dialogues of DailyDialog (Li et al. 2017, arXiv:1710.03957), one per row.

    The turns are in the field "dialog", or "utterances" in some copies.

    Raises:
        InputError: a row does not match the schema, or has no text.
    """
    for row in rows:
        field = "utterances" if "utterances" in row.values else "dialog"
        turns = row.value(field)
        if not isinstance(turns, list):
            raise InputError(f"{row.where}: {field!r} holds {kind(turns)}; expected a list of turns")
        yield _not_empty([row.checked(turn, field).strip() for turn in turns], row)


def prosocial_dialogs(rows: Iterable[Row]) -> Iterator[Turns]:
    """Yield the dialogues of ProsocialDialog (Kim et al. 2022, arXiv:2205.12688).

    A row is a user's turn ("context") and the answer ("response"); consecutive rows with the same
    "dialogue_id" form one dialogue.

    Raises:
        InputError: a row does not match the schema, or a dialogue has no text.
    """
    for _, group in groupby(rows, key=lambda row: row.value("dialogue_id")):
        dialogue = list(group)
        turns = [row.text(field).strip() for row in dialogue for field in ("context", "response")]
        yield _not_empty(turns, dialogue[0])


SCHEMAS: Mapping[str, Callable[[Iterable[Row]], Iterator[Turns]]] = {
    "daily-dialog": daily_dialogs,
    "prosocial-dialog": prosocial_dialogs,
}


def dialogue_corpus(name: str, dialogues: Callable[[], Iterator[Turns]], bot_only: bool) -> Corpus:
    """Return a corpus of dialogues, each in its own rows so that attention never reaches another dialogue.

    Generation stops at the end of a turn.
    """

    def pieces() -> Iterator[Piece]:
        for turns in dialogues():
            yield from dialogue_pieces(turns, bot_only)

    return Corpus(name, pieces, (PAD, BOS, SEP, EOS), bos=BOS, eos=(EOS, SEP), padded=True, prompt=PROMPT)


def _not_empty(turns: Turns, row: Row) -> Turns:
    if not any(turns):
        raise InputError(f"{row.where}: the dialogue is empty; expected a turn with text")
    return turns
