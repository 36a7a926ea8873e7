"""Save conversations as a file to train on."""

import json
from collections.abc import Sequence
from pathlib import Path

from scratchgpt.cli.chat.conversation import Conversation
from scratchgpt.errors import InputError
from scratchgpt.utils.files import atomic_path


class Transcripts:
    """Writes files of conversations; it overwrites only files that it wrote itself."""

    def __init__(self) -> None:
        self._written: dict[Path, bytes] = {}

    def save(self, conversations: Sequence[Conversation], path: Path) -> int:
        """Write conversations as JSON lines, which `--corpus.format daily-dialog` reads; return their number.

        Args:
            conversations: the conversations; empty ones are left out.
            path: a new file, or one written by this chat and not changed since.

        Raises:
            InputError: if all conversations are empty, the file exists, or it cannot be read or written.
        """
        lines = [
            json.dumps({"dialog": each.turns}, ensure_ascii=False) for each in conversations if each.turns
        ]
        if not lines:
            raise InputError("there is no conversation to save yet")
        try:
            found = path.read_bytes() if path.exists() else None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        if found is not None and found != self._written.get(path.resolve()):
            raise InputError(f"{path} already exists and was not written by this chat; choose another file")
        content = "".join(f"{line}\n" for line in lines).encode()
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        self._written[path.resolve()] = content
        return len(lines)
