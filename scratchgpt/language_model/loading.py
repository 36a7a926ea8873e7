"""Load a language model from a folder, a file or a name on the Hugging Face Hub."""

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

SUFFIX = ".safetensors"


def load(path: str | Path, *, checkpoint: str | None = None, backend: Backend | None = None) -> LanguageModel:
    """Load a model: a run, or a GPT-2 in Hugging Face's format.

    Args:
        path: a folder, e.g. "runs/fables"; a `.safetensors` file with config.json and the tokenizer in the
            same folder; or, if no such path exists, the name of a model on the Hugging Face Hub, e.g. "gpt2"
            or "owner/name", which needs the extra `hub`.
        checkpoint: of a run, "best" (lowest validation loss) or "last"; None takes the best if there is one.
        backend: where to compute; None means `get_backend("numpy")`.

    Raises:
        InputError: no model there, an unsupported architecture, or a file that is missing, corrupted or has
            the wrong shape.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"the model is {path!r}; expected a folder, a file or a name")
    path, backend = Path(path), backend or get_backend()
    if not path.exists() and path.suffix != SUFFIX and hub.is_model_name(path.as_posix()):
        path = hub.fetch(path.as_posix())
    file = path if path.suffix == SUFFIX and not path.is_dir() else None
    folder = path.parent if file else path
    if not (folder / "config.json").is_file():
        reason = "has no config.json" if folder.is_dir() else "does not exist"
        raise InputError(
            f"{folder} is not a run: it {reason}; expected the folder of a run, a model in "
            f"Hugging Face's format, or the name of one, e.g. {', '.join(hub.OWNERS)} or owner/name"
        )
    values = load_json(folder / "config.json")
    if is_huggingface(values):
        if checkpoint is not None:
            raise InputError(
                f"{path} is not a run and has only one checkpoint; leave out checkpoint {checkpoint!r}"
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
        *_bos_and_eos(folder, model.config.vocab_size),
    )


def _checkpoint(folder: Path, name: str | None) -> Path:
    if name is None:
        name = "best" if (folder / f"best{SUFFIX}").exists() else "last"
    return folder / f"{name}{SUFFIX}"


def _bos_and_eos(folder: Path, vocab_size: int) -> tuple[int | None, tuple[int, ...]]:
    """Return the BOS and EOS ids in generation_config.json, or in config.json if there is no such file.

    Ids beyond the vocabulary are ignored: transformers writes 50256 by default, whatever the vocabulary.
    """
    path = folder / "generation_config.json"
    path = path if path.exists() else folder / "config.json"
    begin, ends = bos_and_eos(load_json(path), str(path))
    begin = None if begin is None or begin >= vocab_size else begin
    return begin, tuple(end for end in ends if end < vocab_size)


def bos_and_eos(ids: Mapping[str, Any], name: str) -> tuple[int | None, tuple[int, ...]]:
    """Return the BOS id, or None, and the EOS ids.

    Args:
        ids: the content of a generation_config.json, where eos_token_id is a number or a list.
        name: the file's name, for messages.

    Raises:
        InputError: a value that is not an id.
    """
    begin, end = ids.get("bos_token_id"), ids.get("eos_token_id")
    ends = [] if end is None else end if isinstance(end, list) else [end]
    for i in [*ends, *([] if begin is None else [begin])]:
        if type(i) is not int:
            raise InputError(f"{name}: token id is {i!r}; expected a whole number")
    return begin, tuple(ends)


def bos_and_eos_of(corpus: Corpus, tokenizer: Tokenizer) -> tuple[int | None, tuple[int, ...]]:
    """Return the BOS id of a corpus, or None, and the ids that end a text or a turn."""
    return bos_and_eos(corpus.generation_config(tokenizer.special_ids), corpus.name)
