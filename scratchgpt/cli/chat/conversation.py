"""The turns of a conversation, and as many of them as fit into the prompt."""

from collections.abc import Sequence

from scratchgpt.corpora.dialogue import dialogue_pieces
from scratchgpt.data.tokenize import tokenize
from scratchgpt.errors import InputError
from scratchgpt.tokenizers import Tokenizer


class Conversation:
    """Alternating turns of the user and the bot.

    Attributes:
        turns: all turns, starting with the user's.
        n_forgotten: number of the oldest turns that no longer fit into the prompt.
    """

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.n_forgotten = 0

    def prompt(self, said: str, tokenizer: Tokenizer, limit: int) -> list[int]:
        """Return the prompt for the bot's next turn; the oldest turns are dropped if it gets too long.

        A user's turn and its reply are dropped together, so the rest still starts like a dialogue.

        Args:
            said: the user's new turn. It is plain text: names of special tokens in it are characters.
            tokenizer: the tokenizer of a dialogue model.
            limit: maximum number of tokens.

        Raises:
            InputError: if the turn has unknown characters, or is too long on its own.
        """
        for first in range(self.n_forgotten, len(self.turns) + 1, 2):
            ids = prompt_ids([*self.turns[first:], said], tokenizer)
            if len(ids) <= limit:
                self.n_forgotten = first
                return ids
        raise InputError(
            f"your message takes {len(ids)} tokens; expected at most {limit}, to leave room for a reply"
        )

    def add(self, said: str, reply: str) -> None:
        """Append the user's turn and the bot's reply."""
        self.turns += [said, reply]


def prompt_ids(turns: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """Return the token ids of these turns, the last of which is the user's, followed by " Bot:".

    They are the tokens of the dialogue with an empty last turn of the bot, without the token that ends it:
    exactly what the model has seen in training.
    """
    *pieces, _ = dialogue_pieces([*turns, ""])
    return tokenize(pieces, tokenizer).tokens.tolist()
