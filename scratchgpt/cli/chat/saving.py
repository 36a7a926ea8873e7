"""Conversations as a file to train on."""

import json
from collections.abc import Sequence
from pathlib import Path

from scratchgpt.cli.chat.conversation import Conversation
from scratchgpt.errors import InputError
from scratchgpt.utils.files import atomic_path


class Transcripts:
    """Files of conversations: its own are replaced when they are saved again, those of others never."""

    def __init__(self) -> None:
        self._written: dict[Path, bytes] = {}

    def save(self, conversations: Sequence[Conversation], path: Path) -> int:
        """Write conversations as JSON lines, which `--corpus.format daily-dialog` reads; return how many.

        Args:
            conversations: all that are to be in the file; those in which nothing was said are left out.
            path: a new file, or one written here and not changed since.

        Raises:
            InputError: nothing has been said, a file that is not ours, or one that cannot be read or written.
        """
        lines = [
            json.dumps({"dialog": each.turns}, ensure_ascii=False) for each in conversations if each.turns
        ]
        if not lines:
            raise InputError("nothing has been said yet; expected a conversation to save")
        try:
            found = path.read_bytes() if path.exists() else None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        if found is not None and found != self._written.get(path.resolve()):
            raise InputError(f"{path} holds what this chat has not written; expected the name of a new file")
        content = "".join(f"{line}\n" for line in lines).encode()
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        self._written[path.resolve()] = content
        return len(lines)
