"""The settings of a training run: from a YAML file, overridden by the command line."""

import glob
import sys
from argparse import SUPPRESS
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from scratchgpt.cli.options.data import DATA_HELP
from scratchgpt.cli.options.model import add_backend_arguments
from scratchgpt.cli.parser import Parser
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.training.settings import (
    CorpusSettings,
    GenerationSettings,
    RunSettings,
    TokenizerSettings,
    TrainingSettings,
)
from scratchgpt.utils import shipped
from scratchgpt.utils.files import load_yaml

SECTIONS = ("corpus", "tokenizer", "model", "training", "generation")
RETIRED = {  # options of earlier versions, and what to do instead
    "mine": "to train a GPT built from your own exercises, run python -m lessons train 4,5,8 (or all)",
}


def parse_train_args(
    argv: Sequence[str], prog: str = "train.py", *, ignore: Collection[str] = ()
) -> RunSettings:
    """Return the settings of a training run: options override the YAML file, which overrides the defaults.

    The file is `--config`, else the run.yaml of the run that `--resume` names, else configs/default.yaml. The
    shipped configs/ and data/ are found from any working directory. With `--print-config` the settings are
    printed, and the program exits.

    Args:
        argv: the command line, without the program's name.
        prog: the program's name, for `--help`.
        ignore: settings of earlier versions that the files may still have, see RETIRED; they have no effect.

    Raises:
        InputError: if an option is unknown, a value is invalid, or options exclude each other.
    """
    parser, root = _train_parser(prog), shipped.folder()
    argv = list(argv)
    flags = parser.parse_args(argv, defaults=False).as_dict()
    _check_compatible(flags)
    files = {file: _sections(file, ignore) for file in _files(flags, root)}
    settings = parser.get_defaults()
    for file, content in files.items():
        settings = parser.parse_settings(content, settings, file)
    if flags.get("backend", settings.backend) != settings.backend:
        for name in ("threads", "precision", "graph", "device"):  # the files set these for another backend
            settings[name] = parser.get_default(name)
    if "max_steps" in flags.get("training", {}):  # overrides the budget of the files, in whatever unit it is
        settings["training.max_epochs"] = settings["training.max_tokens"] = None
    values = parser.parse_args(argv, namespace=settings).as_dict()
    if not values["data"]:
        raise InputError("--data is missing; expected the text to train on")
    if (
        values["init_from"] and not values["resume"]
    ):  # that model has its configuration: keep what the user set
        values["model"] = {**[*files.values()][-1].get("model", {}), **flags.get("model", {})}
    run_settings = _run_settings(values, root)
    if values["print_config"]:
        print(run_settings.as_yaml(), end="")
        sys.exit(0)
    return run_settings


def _refuse_retired(settings: Mapping[str, Any], prefix: str) -> None:
    """Refuse options of earlier versions; null is accepted: the run did not use them.

    Raises:
        InputError: if such an option is set; the message says what to do instead.
    """
    for name, instead in RETIRED.items():
        if settings.get(name) is not None:
            raise InputError(
                f"{prefix}{name} is {settings[name]!r}, but this option no longer exists; {instead}"
            )


def _check_compatible(flags: Mapping[str, Any]) -> None:
    """Check that no two options contradict each other."""
    _refuse_retired(flags, "--")
    resume, source, tokenizer = flags.get("resume"), flags.get("init_from"), flags.get("tokenizer", {})
    if resume is not None:
        if not Path(resume, "run.yaml").is_file():
            raise InputError(
                f"{resume} is not a run; expected the folder of a run to resume, with its run.yaml"
            )
        for name in ("out", "init_from"):
            if name in flags:
                flag = "--" + name.replace("_", "-")
                raise InputError(f"--resume {resume} continues that run in its folder; leave out {flag}")
    for flag, given in (("--resume", resume), ("--init-from", source)):
        for name in tokenizer if given else ():
            raise InputError(f"{flag} {given} keeps its tokenizer; leave out --tokenizer.{name}")
    for name in ("kind", "vocab_size", "pattern", "unk"):
        if tokenizer.get("path") and name in tokenizer:
            raise InputError(
                f"--tokenizer.path {tokenizer['path']} loads a whole tokenizer; leave out --tokenizer.{name}"
            )


def _files(flags: Mapping[str, Any], root: Path) -> list[Path]:
    """Return the YAML files to read; later ones override earlier ones."""
    config = [find(flags["config"], root)] if flags.get("config") else []
    for file in config:
        if not file.exists():
            raise InputError(f"{file} does not exist; expected a YAML file of settings")
    if flags.get("resume") is not None:
        return [Path(flags["resume"], "run.yaml"), *config]
    return config or [find(f"configs/{'fine-tune' if flags.get('init_from') else 'default'}.yaml", root)]


def _run_settings(values: Mapping[str, Any], root: Path) -> RunSettings:
    """Return the settings with the values of the options."""
    return RunSettings(
        data=_absolute(values["data"], root),
        out=values["resume"] or values["out"],
        backend=values["backend"],
        threads=values["threads"],
        precision=values["precision"],
        graph=values["graph"],
        device=values["device"],
        resume=values["resume"],
        init_from=values["init_from"] and _absolute(values["init_from"], root),
        logger=values["logger"],
        corpus=CorpusSettings(**values["corpus"]),
        tokenizer=TokenizerSettings(**values["tokenizer"]),
        model=values["model"],
        training=TrainingSettings(**values["training"]),
        generation=GenerationSettings(**values["generation"]),
    )


def find(path: str, root: Path) -> Path:
    """Return the path if it exists, else the path inside `root` if that exists, else the path."""
    return next((place for place in (Path(path), root / path) if place.exists()), Path(path))


def _absolute(data: str, root: Path) -> str:
    """Return `data` as an absolute path if it is a path, so that a run can be resumed from any folder."""
    place = find(data, root)
    is_path = place.exists() or glob.has_magic(data)
    return str(place.absolute()) if is_path else data  # else a built-in text, a model name or "-"


def _sections(file: Path, ignore: Collection[str]) -> dict[str, Any]:
    """Return the settings in a YAML file, without top-level nulls, a null prompt and those to ignore."""
    content = {
        key: value for key, value in load_yaml(file).items() if value is not None and key not in ignore
    }
    for section in SECTIONS:
        if not isinstance(content.get(section, {}), dict):
            raise InputError(
                f"{file}: section {section} is {content[section]!r}; expected a mapping of options"
            )
    _refuse_retired(content, f"{file}: ")
    for key in ("config", "resume", "print_config"):
        if key in content:
            raise InputError(f"{file}: {key} is {content[key]!r}; pass it on the command line instead")
    generation = content.get("generation", {})
    if "prompt" in generation and generation["prompt"] is None:
        del generation["prompt"]
    return content


def _train_parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Train a GPT on a text and generate a sample. Precedence: command line, then the YAML "
        "file, then the defaults shown here. Without --config the file is configs/default.yaml "
        "(configs/fine-tune.yaml with --init-from), so many of the defaults below are not in effect; "
        "--print-config shows the settings in effect.",
    )
    parser.add_argument("--data", type=str, metavar="TEXT", help=DATA_HELP)
    parser.add_argument(
        "--out",
        type=str | None,
        metavar="RUN",
        help="the folder of the run; if it already holds one, RUN-2, RUN-3, ... is used; default: runs/TEXT",
    )
    parser.add_argument("--config", type=str, metavar="FILE", help="a YAML file of settings, see configs/")
    parser.add_argument("--resume", type=str, metavar="RUN", help="continue the run in this folder")
    parser.add_argument(
        "--init-from",
        type=str | None,
        metavar="MODEL",
        help="fine-tune: start from the weights, configuration and tokenizer of this run or model",
    )
    parser.add_argument("--print-config", action="store_true", help="print the settings as YAML and exit")
    add_backend_arguments(parser)
    parser.add_argument(
        "--graph", type=bool, default=False, help="on a GPU: capture the training step in a CUDA graph"
    )
    parser.add_argument(
        "--logger", type=str, default="none", help="none, tensorboard, wandb, or tensorboard,wandb"
    )
    for name in RETIRED:
        parser.add_argument(f"--{name}", type=str | None, help=SUPPRESS)
    parser.add_class_arguments(GPTConfig, "model", skip={"vocab_size"})
    parser.add_argument(
        "--model.vocab_size", type=int | None, help="number of token ids; default: the tokenizer's"
    )
    parser.add_class_arguments(CorpusSettings, "corpus")
    parser.add_class_arguments(TokenizerSettings, "tokenizer")
    parser.add_class_arguments(TrainingSettings, "training")
    parser.add_class_arguments(GenerationSettings, "generation", skip={"prompt"})
    parser.add_argument("--generation.prompt", type=str, help="the text to continue; default: a newline")
    return parser
