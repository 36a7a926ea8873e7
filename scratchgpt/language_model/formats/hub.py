"""Models that have a name on the Hugging Face Hub: from the cache on this machine, or downloaded into it."""

import re
from pathlib import Path

from scratchgpt.errors import InputError
from scratchgpt.language_model.formats.huggingface_import import NEEDED, missing_files
from scratchgpt.language_model.formats.libraries import library

OWNERS = {  # of the models whose name alone says enough
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
    """Return whether a name that is no path here is one of the hub.

    That is one of `OWNERS`, or `owner/name`, unless there is a folder `owner`: then it is a path with a
    typing error.
    """
    if name in OWNERS:
        return True
    return bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name)) and not Path(name).parent.is_dir()


def fetch(name: str) -> Path:
    """Return the folder of the cache that holds a model; what it lacks is downloaded.

    Raises:
        InputError: the package `huggingface_hub` is missing, or the model is not in the cache and cannot be
            downloaded. The message says which files to fetch by hand, and where to put them.
    """
    address = f"{OWNERS[name]}/{name}" if name in OWNERS else name
    try:
        hub = library("huggingface_hub", "scratchgpt[hub]", f"the model {name!r}")
        for cached in (address, name):  # some programs ask for it without its owner
            config = hub.try_to_load_from_cache(cached, "config.json")
            if isinstance(config, str) and not missing_files(Path(config).parent):
                return Path(config).parent
        folder = Path(hub.snapshot_download(address, allow_patterns=FILES))
        if missing := missing_files(folder):
            raise InputError(f"the Hugging Face Hub's {address} has no {', '.join(missing)}")
        return folder
    except Exception as error:  # the package lets through whatever the libraries below it raise
        files = ", ".join(" or ".join(names) for names in NEEDED)
        raise InputError(
            f"cannot have {name}: {' '.join(str(error).split())}; to do without, fetch its files by hand "
            f"({files} with merges.txt) into a folder {name}, here, which is taken first"
        ) from error
