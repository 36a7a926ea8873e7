"""Models on the Hugging Face Hub: taken from the local cache, or downloaded into it."""

import re
from pathlib import Path

from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.huggingface_import import NEEDED, missing_files
from scratchgpt.language_model.formats.libraries import library

OWNERS = {  # of the models that may be named without their owner
    "gpt2": "openai-community",
    "gpt2-medium": "openai-community",
    "gpt2-large": "openai-community",
    "gpt2-xl": "openai-community",
    "distilgpt2": "distilbert",
}
FILES = [
    *("config.json", "generation_config.json", "tokenizer.json", "vocab.json", "merges.txt"),
    *("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"),
]


def is_model_name(name: str) -> bool:
    """Return whether a name that is not an existing path can be a model on the hub.

    It is one of `OWNERS`, or `owner/name`; but if a folder `owner` exists, it is a path with a typo.
    """
    if name in OWNERS:
        return True
    return bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name)) and not Path(name).parent.is_dir()


def fetch(name: str) -> Path:
    """Return the cache folder of a model, after downloading what is missing.

    Raises:
        InputError: the package `huggingface_hub` is missing, or the model is not in the cache and cannot be
            downloaded. The message says which files to fetch by hand and where to put them.
    """
    address = f"{OWNERS[name]}/{name}" if name in OWNERS else name
    try:
        hub = library("huggingface_hub", "scratchgpt[hub]", f"the model {name!r}")
        for cached in (address, name):  # some programs cache it without its owner
            config = hub.try_to_load_from_cache(cached, "config.json")
            if isinstance(config, str) and not missing_files(Path(config).parent):
                return Path(config).parent
        folder = Path(hub.snapshot_download(address, allow_patterns=FILES))
        if missing := missing_files(folder):
            raise InputError(f"the Hugging Face Hub's {address} has no {', '.join(missing)}")
        return folder
    except Exception as error:  # the package raises whatever the libraries below it raise
        reason = " ".join(str(error).split()).rstrip(".")
        files = ", ".join(" or ".join(names) for names in NEEDED)
        raise InputError(
            f"could not download {name}: {reason}; to work offline, put its files "
            f"({files} with merges.txt) into a folder named {name}, which takes precedence"
        ) from error
