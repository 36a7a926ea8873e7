"""Who talks, how the model is to answer, and what was said."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from scratchgpt import tokenizers
from scratchgpt.cli.chat.conversation import Conversation
from scratchgpt.cli.chat.saving import Transcripts
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings
from scratchgpt.generation.writing import Writer
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.special_tokens import BOS, EOS, SEP


class Session:
    """A model, its settings, and the conversations with it.

    Args:
        model: what answers.
        settings: how.
        seed: of the first reply; the next ones count up.

    Attributes:
        settings: how the model writes a reply.
        conversations: what was said; the last one goes on.
        is_over: whether the user wants to leave.
    """

    def __init__(self, model: LanguageModel, settings: GenerationSettings, seed: int) -> None:
        self.settings = settings
        self.conversations = [Conversation()]
        self.is_over = False
        self._model = model
        self._seed = seed
        self._transcripts = Transcripts()

    @property
    def conversation(self) -> Conversation:
        """The one that goes on."""
        return self.conversations[-1]

    def begin_anew(self) -> None:
        """Begin another conversation, in which the model knows nothing of those before."""
        self.conversations.append(Conversation())

    def save(self, path: Path) -> int:
        """Write all conversations to a file as `Transcripts.save` does; return how many."""
        return self._transcripts.save(self.conversations, path)

    @property
    def limit(self) -> int:
        """The most tokens of a prompt: a reply has room after it, or at least a quarter of the block."""
        block_size = self._model.model.config.block_size
        return block_size - min(self.settings.max_new_tokens, block_size // 4)

    def reply(self, said: str) -> Iterator[str]:
        """Yield what the model answers piece by piece, until it ends its turn; nothing is kept yet.

        Raises:
            InputError: it cannot read what was said, or a setting that does not go with its tokenizer.
        """
        model, tokenizer = self._model, self._model.tokenizer
        ids = self.conversation.prompt(said, tokenizer, self.limit)
        ends = (tokenizer.special_ids[SEP], tokenizer.special_ids[EOS])
        others = [name for name, i in tokenizer.special_ids.items() if i not in ends]  # a turn is text
        settings = replace(self.settings, banned=[*self.settings.banned, *others])
        writer = Writer(model.model, model.params, tokenizer, model.backend, ends)
        pieces = writer.write([ids], settings, self._seed)
        self._seed += 1
        return without_space(piece for _, piece in pieces)


def can_chat(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer has the special tokens of dialogues, as those who learned from them have."""
    return {BOS, SEP, EOS} <= set(tokenizer.special_ids)


def runs_that_chat(folder: Path) -> Sequence[Path]:
    """Return the runs in a folder that were trained on dialogues, the newest first."""
    checkpoints = sorted(folder.glob("*/last.safetensors"), key=lambda path: -path.stat().st_mtime)
    return [path.parent for path in checkpoints if _has_dialogues(path.parent)]


def _has_dialogues(run: Path) -> bool:
    try:
        return can_chat(tokenizers.load(run))
    except InputError:  # a damaged run is no reason not to talk with another
        return False


def without_space(pieces: Iterator[str]) -> Iterator[str]:
    """Yield a text without the space that it begins with (dialogue.py puts one before every turn)."""
    for piece in pieces:
        if text := piece.lstrip():
            yield text
            break
    yield from pieces
