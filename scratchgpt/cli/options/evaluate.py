"""The options of `scratchgpt evaluate`, and the text that they and the run's own settings choose."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace

from scratchgpt.cli.options.data import DATA_HELP
from scratchgpt.cli.options.model import add_backend_arguments, add_checkpoint_argument
from scratchgpt.cli.parser import Parser
from scratchgpt.corpora import Corpus, open_corpus
from scratchgpt.errors import InputError
from scratchgpt.training.settings import CorpusSettings
from scratchgpt.utils.files import load_yaml
from scratchgpt.utils.validation import from_mapping

Split = Literal["held-out", "training", "whole"]


def parse_evaluate_args(argv: Sequence[str], prog: str) -> tuple[Namespace, Mapping[str, Any]]:
    """Return the options, and those of section `corpus` that the user typed.

    Raises:
        InputError: if an option is unknown or a value is invalid.
    """
    parser = _parser(prog)
    options = parser.parse_args(argv)
    for name, least in (("replies", 0), ("tokens", 1)):
        if options[name] is not None and options[name] < least:
            raise InputError(f"--{name} is {options[name]}; expected at least {least}")
    typed = parser.parse_args(argv, defaults=False)
    return options, vars(typed["corpus"]) if "corpus" in typed else {}


def saved_settings(run: Path) -> dict[str, Any]:
    """Return the settings of a run, with sections `corpus` and `training` even if they are empty.

    A model without a run.yaml, such as one from Hugging Face, has none.

    Raises:
        InputError: if run.yaml is damaged.
    """
    path = run / "run.yaml"
    saved = load_yaml(path) if path.exists() else {}
    for section in ("corpus", "training"):
        if not isinstance(saved.setdefault(section, {}), dict):
            raise InputError(
                f"{path}: section {section} is {saved[section]!r}; expected a mapping of options"
            )
    return saved


def corpus_for(run: Path, saved: Mapping[str, Any], data: str | None, typed: Mapping[str, Any]) -> Corpus:
    """Return the text to evaluate on: `--data`, else the run's own, read as the run reads its text.

    Args:
        run: the folder of the run.
        saved: its settings, see `saved_settings`.
        data: the value of `--data`.
        typed: the options of section `corpus` that the user typed; they override the run's.

    Raises:
        InputError: if no text is named, or it cannot be read.
    """
    settings = from_mapping(CorpusSettings, {**saved["corpus"], **typed}, "corpus.")
    name = data or saved.get("data")
    if name is None:
        raise InputError(f"{run} has no run.yaml that names a text; pass --data")
    if not isinstance(name, str):
        raise InputError(f"{run / 'run.yaml'}: data is {name!r}; expected the name of a text, or pass --data")
    if name == "-" and data is None:
        raise InputError(f"{run} was trained on standard input, which is gone; pass --data")
    return open_corpus(name, **dataclasses.asdict(settings))


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog, description="Measure the loss on a text and, for dialogues, the quality of replies."
    )
    parser.add_argument(
        "run", metavar="RUN", type=str, help="the folder of a run, or any model that sg.load opens"
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--data", type=str | None, metavar="TEXT", help=f"{DATA_HELP}; default: the run's own text"
    )
    parser.add_argument(
        "--split",
        type=Split | None,
        help="part of the text: held-out, training or whole; default: held-out, with --data whole",
    )
    parser.add_argument(
        "--tokens",
        type=int | None,
        metavar="N",
        help="evaluate on about N tokens, spread evenly; default: all",
    )
    parser.add_argument(
        "--replies", type=int, metavar="N", default=200, help="generate N replies, if the text is dialogues"
    )
    parser.add_argument("--json", type=str | None, metavar="FILE", help="also write the metrics to this file")
    parser.add_class_arguments(CorpusSettings, "corpus")
    add_backend_arguments(parser)
    return parser
