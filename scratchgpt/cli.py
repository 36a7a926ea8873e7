"""The command line: settings from a YAML file, overridden by flags, with errors in words."""

import dataclasses
import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.files import load_yaml
from scratchgpt.run_folder import newest_run, saved_generation
from scratchgpt.settings import (
    CorpusSettings,
    GenerationSettings,
    RunSettings,
    TokenizerSettings,
    TrainingSettings,
)
from scratchgpt.validation import from_mapping, nearest

DATA_HELP = (
    "the text to train on: a file or folder, a pattern such as 'texts/*.md' (.txt, .md, .jsonl, .gz), - for "
    "standard input, or a built-in set"
)


class Parser(ArgumentParser):
    """jsonargparse's parser, whose errors are one line and suggest the nearest option."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and the nearest known option, and exit with code 2."""
        message = " ".join(message.split())
        print(f"{self.prog}: error: {_in_words(message)}{self._suggestion(message)}", file=sys.stderr)
        sys.exit(2)

    def _suggestion(self, message: str) -> str:
        group = re.search(r"Group '([\w.]+)' does not accept option '([\w.-]+)'", message)
        option = re.search(r"Option '([\w.-]+)' is not accepted|unrecognized arguments: --([\w.-]+)", message)
        if group:
            section, word = group[1], group[2]
        elif option:
            section, _, word = (option[1] or option[2]).rpartition(".")
        else:
            return ""
        names = [name[2:] for action in self._actions for name in action.option_strings if name[:2] == "--"]
        sections = {name.split(".")[0] for name in names if "." in name}
        if section in sections:  # the section is right, so the option is one of that section
            mine = [name.removeprefix(f"{section}.") for name in names if name.startswith(f"{section}.")]
            return nearest(word, mine, f"{section}.")
        places = {name.rpartition(".")[2]: name for name in names if name not in sections}
        return f"; did you mean {places[word]!r}?" if word in places else nearest(word, places.values())


def _in_words(message: str) -> str:
    """Turn jsonargparse's and Python's names for types into the words of our other messages."""
    types = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    types |= {"list": "a list, as [a, b]"}
    message = re.sub(r"<class '(\w+)'>", r"\1", message)
    if found := re.search(r'Parser key "([\w.]+)": .*(?:tuple|list)\[.*value: (.*)', message):
        return f"{found[1]} is {found[2]}; expected a list, as [1, 2]"
    simple = re.search(r'Parser key "([\w.]+)": Expected an? (.+?)\. Got value: (.*)', message)
    optional = r'Parser key "([\w.]+)": Does not validate.*Subtypes: \[(\w+), NoneType\].*value: (.*)'
    union = re.search(optional, message)
    found = simple or union
    if not found:
        return message
    if found[2].startswith("typing.Literal"):
        known = re.findall("'([^']*)'", found[2])
        return f"{found[1]} is {found[3]!r}{nearest(found[3], known)}"
    expected = types.get(found[2], found[2])
    return f"{found[1]} is {found[3]}; expected {expected}{' or null' if union else ''}"


def parse_train_args(argv: Sequence[str] | None, root: Path) -> RunSettings:
    """Return the settings for `train.py`: defaults < the YAML file < flags.

    The file is `--config`, or that of the run which `--resume` names, or `configs/default.yaml`.
    Files are looked for where the path says, then in the project's folder `root`, so that the
    shipped configurations work from anywhere.
    """
    parser = _train_parser()
    flags = vars(parser.parse_args(argv, defaults=False))
    resume, config = flags.get("resume"), flags.get("config")
    typed = vars(flags["tokenizer"]) if "tokenizer" in flags else {}
    if resume is not None:
        if not Path(resume, "run.yaml").is_file():
            raise InputError(f"{resume} is not a run; expected a folder with a run.yaml to resume")
        if "out" in flags:
            raise InputError(f"--resume {resume} goes on in that folder; expected no --out beside it")
        for name in typed:
            raise InputError(
                f"--resume {resume} keeps its tokenizer; expected no --tokenizer.{name} beside it"
            )
        files = [Path(resume, "run.yaml")] + ([find(config, root)] if config else [])
    else:
        files = [find(config or "configs/default.yaml", root)]
    for name in ("kind", "vocab_size", "pattern", "unk"):
        if typed.get("path") and name in typed:
            raise InputError(
                f"--tokenizer.path {typed['path']} is a whole tokenizer; expected no --tokenizer.{name}"
            )
    settings = parser.get_defaults()
    for file in files:
        settings = parser.parse_object(_sections(file), settings)
    if flags.get("backend", settings.backend) != settings.backend:
        for name in ("threads", "precision", "graph", "device"):  # what the files say of them is for theirs
            settings[name] = parser.get_default(name)
    values = parser.parse_args(argv, namespace=settings).as_dict()
    if not values["data"]:
        parser.error("data is missing; expected --data FILE, the text to train on")
    return RunSettings(
        data=_absolute(values["data"], root),
        out=resume or values["out"],
        backend=values["backend"],
        threads=values["threads"],
        precision=values["precision"],
        graph=values["graph"],
        device=values["device"],
        resume=resume,
        logger=values["logger"],
        mine=values["mine"],
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
    return str(place.absolute()) if is_path else data  # else the name of a built-in set, or -


def _sections(file: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, leaving out what is empty: an empty section, a null prompt."""
    content = {key: value for key, value in load_yaml(file).items() if value is not None}
    for section in ("corpus", "tokenizer", "model", "training", "generation"):
        if not isinstance(content.get(section, {}), dict):
            raise InputError(
                f"{file}: section {section} is {content[section]!r}; expected a mapping of options"
            )
    for key in ("config", "resume"):
        if key in content:
            raise InputError(f"{file}: {key} is {content[key]!r}; expected it on the command line only")
    generation = content.get("generation", {})
    if "prompt" in generation and generation["prompt"] is None:
        del generation["prompt"]
    return content


def _train_parser() -> Parser:
    parser = Parser(
        prog="train.py",
        description="Train a GPT on a text and let it write. Without --config: configs/default.yaml. "
        "What the configuration does not say takes the defaults below.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=str, help="a YAML file of settings, see configs/")
    parser.add_argument("--data", type=str, help=DATA_HELP)
    parser.add_argument("--out", type=str | None, help="the folder of the run; null: runs/DATA")
    parser.add_argument("--resume", type=str, help="go on with the run in this folder")
    _add_backend_arguments(parser)
    parser.add_argument(
        "--graph", type=bool, default=False, help="record the training step on a GPU and replay it"
    )
    parser.add_argument("--logger", type=str, default="none", help="none, tensorboard, wandb, or both")
    parser.add_argument(
        "--mine", type=str | None, help="lessons whose exercises do the work, as 4,5,8, or all"
    )
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


def _add_backend_arguments(parser: Parser) -> None:
    """Add what says who computes."""
    parser.add_argument("--backend", type=str, default="numpy", help="who computes: numpy, reference or cupy")
    parser.add_argument(
        "--threads", type=int | None, help="how many threads of the CPU; null: one for each core"
    )
    parser.add_argument(
        "--precision", type=str, default="float32", help="on a GPU: float32, tf32, bf16 or float16"
    )
    parser.add_argument("--device", type=int | None, help="the number of the GPU; null: the first")


@dataclass(frozen=True)
class SampleOptions:
    """What `sample.py` can be told.

    Attributes:
        run: the folder of the run.
        checkpoint: "best", "last", or None for the best if there is one.
        num_samples: how many texts to write.
        seed: of the first text, the next ones count up; None draws new ones.
        generation: how to write: the run's own settings, overridden by flags.
        backend: who computes.
        threads: how many threads it may use on a CPU; None means all cores.
        precision: of a GPU's arithmetic.
        device: the number of the GPU; None means the first.
    """

    run: Path
    checkpoint: str | None
    num_samples: int
    seed: int | None
    generation: GenerationSettings
    backend: str
    threads: int | None
    precision: str
    device: int | None


def parse_sample_args(argv: Sequence[str] | None = None) -> SampleOptions:
    """Return the options for `sample.py`; without a run it is the newest one in `--runs`."""
    parser = Parser(
        prog="sample.py", description="Let a trained run write; by default the newest.", allow_abbrev=False
    )
    parser.add_argument("run", type=str | None, nargs="?", help="the folder of a run; default: the newest")
    parser.add_argument("--runs", type=str, default="runs", help="where the newest run is looked for")
    parser.add_argument(
        "--checkpoint", type=str | None, help="best or last; default: the best if there is one"
    )
    parser.add_argument("--num-samples", type=int, default=1, help="how many texts to write")
    parser.add_argument("--seed", type=int | None, help="same seed, same text; default: another each time")
    parser.add_argument("--prompt", type=str, help="the text to continue; default: the run's, or a new line")
    parser.add_argument(
        "--max-new-tokens", type=int | None, help="tokens to generate; default: the run's setting"
    )
    parser.add_argument("--temperature", type=float | None, help="0 is greedy; default: the run's setting")
    parser.add_argument(
        "--top-k", type=int | None, help="only the k likeliest tokens; default: the run's setting"
    )
    _add_backend_arguments(parser)
    values = parser.parse_args(argv).as_dict()

    run = Path(values["run"]) if values["run"] else newest_run(values["runs"])
    if run is None:
        raise InputError(f"there is no run in {values['runs']!r}; expected one, as train.py makes it")
    if values["checkpoint"] not in (None, "best", "last"):
        raise InputError(f"checkpoint is {values['checkpoint']!r}; expected best or last")
    if not values["run"]:
        print(f"sample.py: from {run}", file=sys.stderr)
    if values["num_samples"] < 1:
        raise InputError(f"num-samples is {values['num_samples']}; expected at least 1")
    names = [field.name for field in dataclasses.fields(GenerationSettings)]
    flags = {name: values[name] for name in names if values[name] is not None}
    return SampleOptions(
        run=run,
        checkpoint=values["checkpoint"],
        num_samples=values["num_samples"],
        seed=values["seed"],
        generation=from_mapping(GenerationSettings, saved_generation(run) | flags, "generation."),
        backend=values["backend"],
        threads=values["threads"],
        precision=values["precision"],
        device=values["device"],
    )


@contextmanager
def errors_in_words(prog: str) -> Iterator[None]:
    """Turn bad input into one line on standard error and exit code 2, and Ctrl-C into exit code 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack a character that the model writes
    try:
        yield
    except InputError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        print(
            f"{prog}: error: out of memory ({error}); try --training.recompute true (a third more time), "
            "a larger --training.accumulate or smaller --training.batch_size, --model.block_size or model, "
            "or on a GPU --precision bf16",
            file=sys.stderr,
        )
        sys.exit(2)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(130)
