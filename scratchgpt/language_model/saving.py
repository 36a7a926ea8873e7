"""Save a model as a folder, which appears complete or not at all."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scratchgpt import tokenizers
from scratchgpt.checkpoint import save_weights
from scratchgpt.errors import InputError
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.utils.atomic_folder import atomic_folder
from scratchgpt.utils.files import atomic_path


def save_model(
    folder: str | Path,
    model: GPT,
    params: ParamVector,
    tokenizer: Tokenizer,
    bos_token_id: int | None,
    eos_token_ids: Sequence[int],
) -> None:
    """Write what `sg.load` needs: config.json, the tokenizer, generation_config.json, best.safetensors.

    Args:
        folder: a new or an empty folder.
        model: the structure.
        params: its weights, in host memory.
        tokenizer: turns text into ids and back.
        bos_token_id: the token that a text begins with, or None.
        eos_token_ids: the tokens that end a text.

    Raises:
        InputError: the folder is not empty, or cannot be written to.
    """
    with new_folder(folder) as new:
        write_json(new / "config.json", dataclasses.asdict(model.config))
        write_json(new / "generation_config.json", generation_config(bos_token_id, eos_token_ids))
        tokenizers.save(tokenizer, new)
        save_weights(new / "best.safetensors", params, {})


def generation_config(bos_token_id: int | None, eos_token_ids: Sequence[int]) -> dict[str, Any]:
    """Return BOS and EOS ids in the form of Hugging Face's generation_config.json.

    One EOS id is a number, several are a list; a missing one is left out.
    """
    begin = {} if bos_token_id is None else {"bos_token_id": bos_token_id}
    ends = list(eos_token_ids)
    return begin | ({"eos_token_id": ends[0] if len(ends) == 1 else ends} if ends else {})


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Give a temporary folder to fill, which then becomes `folder` in one step.

    Raises:
        InputError: `folder` is not empty, before or afterwards, or cannot be written to.
    """
    folder = Path(folder).absolute()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} already exists and is not empty; choose another folder")
        with atomic_folder(folder) as temporary:
            yield temporary
            made = temporary.stat()
            if folder.exists():
                folder.rmdir()  # Windows renames onto no folder, not even an empty one
        if not os.path.samestat(made, folder.stat()):
            raise InputError(f"another process has created {folder} in the meantime; choose another folder")
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object; the file appears complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
