"""From a folder, a file or a name to a language model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scratchgpt import tokenizers
from scratchgpt.backends import Backend, get_backend
from scratchgpt.checkpoint import load_weights
from scratchgpt.config import GPTConfig
from scratchgpt.corpora import Corpus
from scratchgpt.errors import InputError
from scratchgpt.language_model.formats import hub
from scratchgpt.language_model.formats.huggingface_config import is_huggingface
from scratchgpt.language_model.formats.huggingface_import import load_gpt2
from scratchgpt.language_model.formats.tokenizer_json import load_tokenizer
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.nn.model import GPT
from scratchgpt.tokenizers import Tokenizer
from scratchgpt.utils.files import load_json

ENDING = ".safetensors"


def load(path: str | Path, *, checkpoint: str | None = None, backend: Backend | None = None) -> LanguageModel:
    """Load a model: a run of ours, or a GPT-2 in Hugging Face's format.

    Args:
        path: a folder, e.g. "runs/fables"; a `.safetensors` file, beside which config.json and the tokenizer
            lie; or, where there is neither, the name of a model on the Hugging Face Hub, e.g. "gpt2" or
            "owner/name", which needs the extra `hub`.
        checkpoint: of a run: "best" (least validation loss) or "last"; None takes the best if there is one.
        backend: where to compute; None means `get_backend("numpy")`.

    Raises:
        InputError: no model there, another architecture, or a file that is missing, corrupted or of another
            shape.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"the model is {path!r}; expected a folder, a file or the name of one")
    path, backend = Path(path), backend or get_backend()
    if not path.exists() and path.suffix != ENDING and hub.is_model_name(path.as_posix()):
        path = hub.fetch(path.as_posix())
    file = path if path.suffix == ENDING and not path.is_dir() else None
    folder = path.parent if file else path
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} is not a run; expected a folder with a config.json, as train.py makes it, or a model "
            f"in Hugging Face's format, or the name of one, such as {', '.join(hub.OWNERS)} or owner/name"
        )
    values = load_json(folder / "config.json")
    if is_huggingface(values):
        if checkpoint is not None:
            raise InputError(
                f"checkpoint is {checkpoint!r}; expected none: {path} is no run and has one model"
            )
        model, params = load_gpt2(values, folder, file)
        tokenizer = load_tokenizer(folder)
    else:
        model = GPT(GPTConfig.from_dict(values))
        tokenizer = tokenizers.load(folder)
        params, _ = load_weights(file or _checkpoint(folder, checkpoint), model)
    return LanguageModel(
        model,
        params.map(backend.to_device),
        tokenizer,
        backend,
        *_begin_and_ends(folder, model.config.vocab_size),
    )


def _checkpoint(folder: Path, name: str | None) -> Path:
    if name is None:
        name = "best" if (folder / f"best{ENDING}").exists() else "last"
    return folder / f"{name}{ENDING}"


def _begin_and_ends(folder: Path, vocab_size: int) -> tuple[int | None, tuple[int, ...]]:
    """Return what generation_config.json says, or else config.json.

    An id beyond the vocabulary is nobody's: transformers writes 50256 wherever nothing else was said.
    """
    path = folder / "generation_config.json"
    path = path if path.exists() else folder / "config.json"
    begin, ends = begin_and_ends(load_json(path), str(path))
    begin = None if begin is None or begin >= vocab_size else begin
    return begin, tuple(end for end in ends if end < vocab_size)


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


def begin_and_ends_of(corpus: Corpus, tokenizer: Tokenizer) -> tuple[int | None, tuple[int, ...]]:
    """Return the token that each text of a corpus begins with, and those that end it or a turn of it."""
    return begin_and_ends(corpus.generation_config(tokenizer.special_ids), corpus.name)
