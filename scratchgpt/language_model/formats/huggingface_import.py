"""Load a model from a folder or a file in Hugging Face's GPT-2 format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.gpt2_tensors import model_of
from scratchgpt.language_model.formats.huggingface_config import from_huggingface
from scratchgpt.language_model.formats.safetensors_file import StoredTensor, stored_tensors
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.utils.files import load_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
NEEDED = (  # a folder must have one file of each group
    ("config.json",),
    (WEIGHTS, INDEX),
    ("tokenizer.json", "vocab.json"),
)


def missing_files(folder: Path) -> list[str]:
    """Return the names of the files that a folder lacks to be a model."""
    missing = [names[0] for names in NEEDED if not any((folder / name).exists() for name in names)]
    if (folder / INDEX).exists() and not (folder / WEIGHTS).exists():
        missing += [file for file in _shards(folder) if not (folder / file).exists()]
    return missing


def load_gpt2(values: Mapping[str, Any], folder: Path, file: Path | None) -> tuple[GPT, ParamVector]:
    """Return the model in a folder, and its weights in host memory.

    Args:
        values: the content of the folder's config.json.
        folder: holds the weights, as model.safetensors or as the shards that its index lists.
        file: another file with the weights; None means the folder's.

    Raises:
        InputError: another architecture, an unsupported option, no weights, weights that do not match the
            config, or a damaged file.
    """
    config = from_huggingface(values, str(folder / "config.json"))
    path = file or folder / WEIGHTS
    if not path.exists() and (folder / INDEX).exists():
        path = folder / INDEX
    return model_of(config, _tensors(path), str(path))


def _tensors(path: Path) -> dict[str, StoredTensor]:
    if path.name == INDEX:
        shards = [stored_tensors(path.parent / file) for file in _shards(path.parent)]
        return {name: tensor for shard in shards for name, tensor in shard.items()}
    pickles = sorted(path.parent.glob("*.bin"))
    if not path.exists() and pickles:
        raise InputError(
            f"{path} does not exist, and {pickles[0].name} is a pickle, which is never opened because it can "
            f"run code; expected {WEIGHTS}"
        )
    return stored_tensors(path)


def _shards(folder: Path) -> list[str]:
    """Return the names of the files that hold the tensors, once each."""
    places = load_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(
        isinstance(file, str) and Path(file).name == file for file in places.values()
    ):
        raise InputError(
            f"{folder / INDEX}: weight_map is {places!r:.60}; expected a file name for every tensor"
        )
    return sorted(set(places.values()))
