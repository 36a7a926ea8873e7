"""What was said so far, and as much of it as the model can read."""

import json
from collections.abc import Sequence
from pathlib import Path

from scratchgpt.corpora.dialogue import dialogue_pieces
from scratchgpt.data.tokenise import tokenise
from scratchgpt.errors import InputError
from scratchgpt.files import atomic_path
from scratchgpt.tokenizers import Tokenizer


class Conversation:
    """Turns of the user and the bot, one after the other.

    Attributes:
        turns: all of them, the user's first.
        n_forgotten: how many of the oldest the model no longer reads.
    """

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.n_forgotten = 0

    def prompt(self, said: str, tokenizer: Tokenizer, limit: int) -> list[int]:
        """Return the tokens that the bot's answer follows, and forget the oldest turns if they are too many.

        A user's turn and its answer are forgotten together, so that what is left begins as a dialogue does.

        Args:
            said: what the user says now. It is text: names of special tokens in it are characters.
            tokenizer: of a model of dialogues.
            limit: the most tokens that there may be.

        Raises:
            InputError: unknown characters, or too many tokens even without all that was said before.
        """
        for first in range(self.n_forgotten, len(self.turns) + 1, 2):
            ids = prompt_ids([*self.turns[first:], said], tokenizer)
            if len(ids) <= limit:
                self.n_forgotten = first
                return ids
        raise InputError(
            f"that is {len(ids)} tokens long; expected at most {limit}, to leave room for a reply"
        )

    def add(self, said: str, reply: str) -> None:
        """Keep what the user said and the bot answered."""
        self.turns += [said, reply]

    def save(self, path: Path) -> None:
        """Add the whole conversation to a file of JSON lines, as `--corpus.format daily-dialog` reads them.

        Raises:
            InputError: nothing has been said yet, or the file cannot be read or written to.
        """
        if not self.turns:
            raise InputError("nothing has been said yet; expected a conversation to save")
        try:
            before = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        line = json.dumps({"dialog": self.turns}, ensure_ascii=False) + "\n"
        with atomic_path(path) as temporary:
            temporary.write_bytes(
                before + (b"\n" if before[-1:] not in (b"", b"\n") else b"") + line.encode()
            )


def prompt_ids(turns: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of turns that end with the user's, and then " Bot:".

    They are those of the dialogue in which the bot says nothing, without the token that ends its turn: what
    the model has seen in training, to the token.
    """
    *pieces, _ = dialogue_pieces([*turns, ""])
    return tokenise(pieces, tokenizer).tokens.tolist()
