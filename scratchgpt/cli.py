"""The command line: settings from a YAML file, overridden by flags, with errors in words."""

import argparse
import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser  # type: ignore[attr-defined]

from scratchgpt.config import GPTConfig, nearest
from scratchgpt.errors import InputError
from scratchgpt.files import load_yaml
from scratchgpt.run_folder import newest_run, saved_generation
from scratchgpt.settings import GenerationSettings, RunSettings, TokenizerSettings, TrainingSettings


class Parser(ArgumentParser):
    """jsonargparse's parser, whose errors are one line and suggest the nearest option."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and the nearest known option, and exit with code 2."""
        message = re.sub(r"<class '(\w+)'>", r"\1", " ".join(message.split()))
        print(f"{self.prog}: error: {message}{self._suggestion(message)}", file=sys.stderr)
        sys.exit(2)

    def _suggestion(self, message: str) -> str:
        group = re.search(r"Group '([\w.]+)' does not accept option '([\w.-]+)'", message)
        option = re.search(r"Option '([\w.-]+)' is not accepted|unrecognized arguments: --([\w.-]+)", message)
        if not group and not option:
            return ""
        unknown = f"{group[1]}.{group[2]}" if group else option[1] or option[2] if option else ""
        names = [name[2:] for action in self._actions for name in action.option_strings if name[:2] == "--"]
        sections = {name.split(".")[0] for name in names if "." in name}
        section = unknown.split(".")[0]
        if section in sections:  # the section is right, so the option is one of that section
            return nearest(unknown, [name for name in names if name.startswith(f"{section}.")])
        return nearest(unknown, [name for name in names if name not in sections])


def parse_train_args(argv: Sequence[str] | None, root: Path) -> RunSettings:
    """Return the settings for `train.py`: defaults < the YAML file < flags.

    The file is `--config`, or that of the run which `--resume` names, or `configs/default.yaml`.
    The text file is looked for where the path says, then in the project's folder `root`, so that
    the shipped configurations work from anywhere.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _train_parser()
    first_look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first_look.add_argument("--config", nargs="?", action="append", default=[])
    first_look.add_argument("--resume", nargs="?")
    chosen, _ = first_look.parse_known_args(argv)
    if chosen.resume is not None:
        saved = Path(chosen.resume, "run.yaml")
        if not saved.is_file():
            raise InputError(f"{chosen.resume} is not a run; expected a folder with a run.yaml to resume")
        argv = ["--config", str(saved), *argv]
    elif not chosen.config:
        argv = ["--config", str(root / "configs" / "default.yaml"), *argv]
    for path in chosen.config:
        if path is not None:  # a flag without its value is the parser's to report
            load_yaml(path)
    values = parser.parse_args(argv).as_dict()
    if values["data"] is None:
        parser.error("data is missing; expected --data FILE, the text to train on")
    places = (Path(values["data"]), root / values["data"])
    data = next((place for place in places if place.exists()), places[0])
    return RunSettings(
        data=str(data.resolve()),
        out=chosen.resume or values["out"] or str(Path("runs", data.stem)),
        backend=values["backend"],
        threads=values["threads"],
        resume=chosen.resume,
        tokenizer=TokenizerSettings(**values["tokenizer"]),
        model=values["model"],
        training=TrainingSettings(**values["training"]),
        generation=GenerationSettings(**values["generation"]),
    )


def _train_parser() -> Parser:
    parser = Parser(
        prog="train.py",
        description="Train a GPT on a text and let it write. Without arguments: configs/default.yaml.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file of settings, see configs/")
    parser.add_argument("--data", type=str, help="the text file to train on (UTF-8)")
    parser.add_argument("--out", type=str | None, help="the folder of the run; null: runs/DATA")
    parser.add_argument("--resume", type=str | None, help="go on with the run in this folder")
    parser.add_argument("--backend", type=str, default="numpy", help="who computes: numpy or reference")
    parser.add_argument("--threads", type=int | None, help="threads of a matrix product; null: BLAS decides")
    parser.add_class_arguments(GPTConfig, "model", skip={"vocab_size"})
    parser.add_argument(
        "--model.vocab_size", type=int | None, help="number of token ids; null: the tokenizer's"
    )
    parser.add_class_arguments(TokenizerSettings, "tokenizer")
    parser.add_class_arguments(TrainingSettings, "training")
    parser.add_class_arguments(GenerationSettings, "generation")
    return parser


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
        threads: threads of a matrix product.
    """

    run: Path
    checkpoint: str | None
    num_samples: int
    seed: int | None
    generation: GenerationSettings
    backend: str
    threads: int | None


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
    parser.add_argument(
        "--prompt", type=str | None, help="the text to continue; default: the run's, or a new line"
    )
    parser.add_argument(
        "--max-new-tokens", type=int | None, help="tokens to generate; default: the run's setting"
    )
    parser.add_argument("--temperature", type=float | None, help="0 is greedy; default: the run's setting")
    parser.add_argument(
        "--top-k", type=int | None, help="only the k likeliest tokens; default: the run's setting"
    )
    parser.add_argument("--backend", type=str, default="numpy", help="who computes: numpy or reference")
    parser.add_argument(
        "--threads", type=int | None, help="threads of a matrix product; default: BLAS decides"
    )
    values = parser.parse_args(argv).as_dict()

    run = Path(values["run"]) if values["run"] else newest_run(values["runs"])
    if run is None:
        raise InputError(f"there is no run in {values['runs']!r}; expected one, as train.py makes it")
    if values["checkpoint"] not in (None, "best", "last"):
        raise InputError(f"checkpoint is {values['checkpoint']!r}; expected best or last")
    if values["num_samples"] < 1:
        raise InputError(f"num-samples is {values['num_samples']}; expected at least 1")
    names = [field.name for field in dataclasses.fields(GenerationSettings)]
    flags = {name: values[name] for name in names if values[name] is not None}
    return SampleOptions(
        run=run,
        checkpoint=values["checkpoint"],
        num_samples=values["num_samples"],
        seed=values["seed"],
        generation=GenerationSettings(**saved_generation(run) | flags),
        backend=values["backend"],
        threads=values["threads"],
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
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(130)
