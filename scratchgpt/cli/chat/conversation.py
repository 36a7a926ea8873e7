"""What was said so far, and as much of it as the model can read."""

from collections.abc import Sequence

from scratchgpt.corpora.dialogue import dialogue_pieces
from scratchgpt.data.tokenize import tokenize
from scratchgpt.errors import InputError
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


def prompt_ids(turns: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of turns that end with the user's, and then " Bot:".

    They are those of the dialogue in which the bot says nothing, without the token that ends its turn: what
    the model has seen in training, to the token.
    """
    *pieces, _ = dialogue_pieces([*turns, ""])
    return tokenize(pieces, tokenizer).tokens.tolist()
