"""The settings of train.py: from a YAML file, overridden by flags."""

import glob
import sys
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scratchgpt.cli.parser import DATA_HELP, Parser, add_backend_arguments
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

RETIRED = {  # options of earlier versions, and what replaces them
    "mine": "to train a GPT made of your own exercises: python -m lessons train 4,5,8 (or all)",
}


def parse_train_args(argv: Sequence[str], prog: str = "train.py") -> RunSettings:
    """Return the settings of a training run: flags override the YAML file, which overrides the defaults.

    The file is `--config`, or the run.yaml of the run that `--resume` names, or `configs/default.yaml`. A
    path that does not exist is looked for beside the shipped configs/ and data/, so these work from any
    folder. With `--print-config` the settings are printed and the program exits.

    Args:
        argv: the arguments.
        prog: the program's name in messages.
    """
    parser, root = _train_parser(prog), shipped.folder()
    argv = list(argv)
    flags = parser.parse_args(argv, defaults=False).as_dict()
    _check_together(flags)
    files = {file: _sections(file) for file in _files(flags, root)}
    settings = parser.get_defaults()
    for file, content in files.items():
        parser.source = f"{file}: "
        settings = parser.parse_object(content, settings)
    parser.source = ""
    if flags.get("backend", settings.backend) != settings.backend:
        for name in ("threads", "precision", "graph", "device"):  # what the files say of them is for theirs
            settings[name] = parser.get_default(name)
    typed = flags.get("training", {})
    if "max_steps" in typed:  # takes the place of whatever the files say of the same thing
        settings["training.max_epochs"] = settings["training.max_tokens"] = None
    values = parser.parse_args(argv, namespace=settings).as_dict()
    if not values["data"]:
        parser.error("data is missing; expected --data FILE, the text to train on")
    if values["init_from"] and not values["resume"]:  # it has a shape; what counts is what somebody has set
        values["model"] = {**[*files.values()][-1].get("model", {}), **flags.get("model", {})}
    run_settings = _run_settings(values, root)
    if values["print_config"]:
        print(run_settings.as_yaml(), end="")
        sys.exit(0)
    return run_settings


def _refuse_retired(settings: Mapping[str, Any]) -> None:
    """Say what replaces an option of earlier versions; one that was never set (null) is no problem.

    Raises:
        InputError: the option is set.
    """
    for name, replacement in RETIRED.items():
        if settings.get(name) is not None:
            raise InputError(f"{name} is {settings[name]!r}, an option that no longer exists; {replacement}")


def _check_together(flags: Mapping[str, Any]) -> None:
    """See that no two flags contradict each other."""
    _refuse_retired(flags)
    resume, source, tokenizer = flags.get("resume"), flags.get("init_from"), flags.get("tokenizer", {})
    if resume is not None:
        if not Path(resume, "run.yaml").is_file():
            raise InputError(f"{resume} is not a run; expected a folder with a run.yaml to resume")
        for name in ("out", "init_from"):
            if name in flags:
                flag = "--" + name.replace("_", "-")
                raise InputError(f"--resume {resume} goes on in that folder; expected no {flag} beside it")
    for flag, given in (("--resume", resume), ("--init-from", source)):
        for name in tokenizer if given else ():
            raise InputError(f"{flag} {given} keeps its tokenizer; expected no --tokenizer.{name} beside it")
    for name in ("kind", "vocab_size", "pattern", "unk"):
        if tokenizer.get("path") and name in tokenizer:
            raise InputError(
                f"--tokenizer.path {tokenizer['path']} is a whole tokenizer; expected no --tokenizer.{name}"
            )


def _files(flags: Mapping[str, Any], root: Path) -> list[Path]:
    """Return the YAML files that count, the last one most."""
    config = [find(flags["config"], root)] if flags.get("config") else []
    if flags.get("resume") is not None:
        return [Path(flags["resume"], "run.yaml"), *config]
    return config or [find(f"configs/{'fine-tune' if flags.get('init_from') else 'default'}.yaml", root)]


def _run_settings(values: Mapping[str, Any], root: Path) -> RunSettings:
    """Return the settings in what was parsed."""
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
    """Return the path as it is given if something is there, else within `root` if something is there."""
    return next((place for place in (Path(path), root / path) if place.exists()), Path(path))


def _absolute(data: str, root: Path) -> str:
    """Return what `--data` says in words that mean the same from another folder, where a run is resumed."""
    place = find(data, root)
    is_path = place.exists() or glob.has_magic(data)
    return str(place.absolute()) if is_path else data  # else the name of a built-in set or model, or -


def _sections(file: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, leaving out what is empty: an empty section, a null prompt."""
    content = {key: value for key, value in load_yaml(file).items() if value is not None}
    for section in ("corpus", "tokenizer", "model", "training", "generation"):
        if not isinstance(content.get(section, {}), dict):
            raise InputError(
                f"{file}: section {section} is {content[section]!r}; expected a mapping of options"
            )
    _refuse_retired(content)
    for key in ("config", "resume", "print_config"):
        if key in content:
            raise InputError(f"{file}: {key} is {content[key]!r}; expected it on the command line only")
    generation = content.get("generation", {})
    if "prompt" in generation and generation["prompt"] is None:
        del generation["prompt"]
    return content


def _train_parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Train a GPT on a text and let it write. Without --config: configs/default.yaml, or "
        "configs/fine-tune.yaml with --init-from. What it does not say takes the defaults below.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=str, help="a YAML file of settings, see configs/")
    parser.add_argument("--data", type=str, help=DATA_HELP)
    parser.add_argument("--out", type=str | None, help="the folder of the run; null: runs/DATA")
    parser.add_argument("--resume", type=str, help="go on with the run in this folder")
    parser.add_argument(
        "--init-from",
        type=str | None,
        help="begin with weights, shape and tokenizer of this run or model",
    )
    parser.add_argument("--print-config", action="store_true", help="print the settings as YAML and end")
    add_backend_arguments(parser)
    parser.add_argument(
        "--graph", type=bool, default=False, help="record the training step on a GPU and replay it"
    )
    parser.add_argument("--logger", type=str, default="none", help="none, tensorboard, wandb, or both")
    for name in RETIRED:
        parser.add_argument(f"--{name}", type=str | None, help=SUPPRESS)
    parser.add_class_arguments(GPTConfig, "model", skip={"vocab_size"})
    parser.add_argument(
        "--model.vocab_size", type=int | None, help="number of token ids; null: the tokenizer's"
    )
    parser.add_class_arguments(CorpusSettings, "corpus")
    parser.add_class_arguments(TokenizerSettings, "tokenizer")
    parser.add_class_arguments(TrainingSettings, "training")
    parser.add_class_arguments(GenerationSettings, "generation", skip={"prompt"})
    parser.add_argument("--generation.prompt", type=str, help="the text to continue; default: a new line")
    return parser
