"""From a folder to a language model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scratchgpt import tokenizers
from scratchgpt.backends import Backend, get_backend
from scratchgpt.checkpoint import load_weights
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.files import load_json
from scratchgpt.language_model import LanguageModel
from scratchgpt.model import GPT


def load(path: str | Path, *, checkpoint: str | None = None, backend: Backend | None = None) -> LanguageModel:
    """Load a trained run.

    Args:
        path: the run's folder, e.g. "runs/fables".
        checkpoint: "best" (least validation loss) or "last"; None takes the best if there is one.
        backend: where to compute; None means `get_backend("numpy")`.

    Raises:
        InputError: no run there, or a file of it is missing, corrupted or of another shape.
    """
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} is not a run; expected a folder with a config.json, as train.py makes it")
    if checkpoint is None:
        checkpoint = "best" if (folder / "best.safetensors").exists() else "last"
    model = GPT(GPTConfig.from_dict(load_json(folder / "config.json")))
    tokenizer = tokenizers.load(folder)
    params, _ = load_weights(folder / f"{checkpoint}.safetensors", model)
    backend = backend or get_backend()
    ends = folder / "generation_config.json"
    return LanguageModel(
        model,
        params.map(backend.to_device),
        tokenizer,
        backend,
        *begin_and_ends(load_json(ends) if ends.exists() else {}, str(ends)),
    )


def begin_and_ends(ids: Mapping[str, Any], name: str) -> tuple[int | None, tuple[int, ...]]:
    """Return the token that a text begins with and those that it ends with.

    Args:
        ids: what a generation_config.json holds; an end is a number, or several are a list, as Hugging Face
            has it.
        name: of the file, for messages.

    Raises:
        InputError: what is no id.
    """
    begin, end = ids.get("bos_token_id"), ids.get("eos_token_id")
    ends = [] if end is None else end if isinstance(end, list) else [end]
    for i in [*ends, *([] if begin is None else [begin])]:
        if type(i) is not int:
            raise InputError(f"{name}: token id is {i!r}; expected a whole number")
    return begin, tuple(ends)
