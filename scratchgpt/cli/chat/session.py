"""A chat session: the model, its settings and the conversations."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from scratchgpt import tokenizers
from scratchgpt.cli.chat.conversation import Conversation
from scratchgpt.cli.chat.saving import Transcripts
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.special_tokens import BOS, EOS, SEP


class Session:
    """A model, its settings and the conversations with it.

    Args:
        model: generates the replies.
        settings: how to generate them.
        seed: of the first reply; each further reply adds 1.

    Attributes:
        settings: how to generate replies; commands change it.
        conversations: all conversations; the last one is the current one.
        is_over: whether the user has quit.
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
        """The current conversation."""
        return self.conversations[-1]

    def reset(self) -> None:
        """Start a new conversation, in which the model knows nothing of the earlier ones."""
        self.conversations.append(Conversation())

    def save(self, path: Path) -> int:
        """Write all conversations to a file; return their number. See `Transcripts.save`."""
        return self._transcripts.save(self.conversations, path)

    @property
    def limit(self) -> int:
        """Maximum number of prompt tokens; up to a quarter of the context window is left for the reply."""
        block_size = self._model.model.config.block_size
        return block_size - min(self.settings.max_new_tokens, block_size // 4)

    def reply(self, said: str) -> Iterator[str]:
        """Yield the model's reply piece by piece, until it ends its turn; the conversation is unchanged.

        Raises:
            InputError: if the tokenizer cannot encode the message or a text in the settings.
        """
        model, tokenizer = self._model, self._model.tokenizer
        ids = self.conversation.prompt(said, tokenizer, self.limit)
        ends = (tokenizer.special_ids[SEP], tokenizer.special_ids[EOS])
        others = [name for name, i in tokenizer.special_ids.items() if i not in ends]  # a reply is plain text
        settings = replace(self.settings, banned=[*self.settings.banned, *others])
        generator = replace(model.generator, eos_ids=ends)
        pieces = generator.stream([ids], settings, self._seed)
        self._seed += 1
        return without_space(piece for _, piece in pieces)


def can_chat(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer has the special tokens of dialogues, as one trained on dialogues has."""
    return {BOS, SEP, EOS} <= set(tokenizer.special_ids)


def runs_that_chat(folder: Path) -> Sequence[Path]:
    """Return the runs in a folder that were trained on dialogues, newest first."""
    checkpoints = sorted(folder.glob("*/last.safetensors"), key=lambda path: -path.stat().st_mtime)
    return [path.parent for path in checkpoints if _has_dialogues(path.parent)]


def _has_dialogues(run: Path) -> bool:
    try:
        return can_chat(tokenizers.load(run))
    except InputError:  # a damaged run must not prevent a chat with another
        return False


def without_space(pieces: Iterator[str]) -> Iterator[str]:
    """Yield a text without its leading space (corpora/dialogue.py puts one before every turn)."""
    for piece in pieces:
        if text := piece.lstrip():
            yield text
            break
    yield from pieces
