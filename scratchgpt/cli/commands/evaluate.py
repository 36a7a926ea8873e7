"""`scratchgpt evaluate`: how well a trained run predicts a text, and how it replies in dialogues."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from scratchgpt import data
from scratchgpt.backends import get_backend
from scratchgpt.cli.parser import DATA_HELP, Parser, add_backend_arguments
from scratchgpt.corpora import Corpus, open_corpus
from scratchgpt.errors import InputError
from scratchgpt.evaluation.metrics import in_other_units
from scratchgpt.evaluation.text_loss import score
from scratchgpt.language_model import replies
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.language_model.loading import load
from scratchgpt.tokenizers.base import SEP
from scratchgpt.training.settings import CorpusSettings, TrainingSettings
from scratchgpt.training.text import nats_per_token, tokens_of
from scratchgpt.utils.files import atomic_path, load_yaml, make_folder
from scratchgpt.utils.terminal import console, printable
from scratchgpt.utils.validation import from_mapping

CHECKPOINTS = ("best", "last")
SPLITS = ("held-out", "training", "whole")
N_EXAMPLES = 5


def main(argv: Sequence[str]) -> int:
    """Print a table of measures, and with --json write them; return the exit code."""
    options, corpus_flags = _options(list(argv))
    run, out = Path(options.run), console()
    if options.json:
        make_folder(Path(options.json).parent)  # better known now than when everything is measured
    backend = get_backend(
        options.backend, options.threads, precision=options.precision, device=options.device
    )
    there = (name for name in CHECKPOINTS if (run / f"{name}.safetensors").exists())
    checkpoint = options.checkpoint or next(there, None)  # a model of somebody else's has none
    model = load(options.run, checkpoint=checkpoint, backend=backend)
    saved = _settings(run)
    corpus = _corpus(run, saved, options.data, corpus_flags)
    split = options.split or ("whole" if options.data else "held-out")
    batch_size, part = _part(saved, corpus, model, split, out)

    measures = _predicted(model, corpus, part, batch_size, options.tokens)
    result: dict[str, Any] = {"run": options.run, "checkpoint": checkpoint, "text": corpus.name}
    result |= {"split": split, **measures}
    which = ", ".join(filter(None, (run.name, checkpoint)))
    out.print(printable(f"{which}: {corpus.name}, {split}"), soft_wrap=True)
    out.print(_table(measures))
    if SEP in corpus.specials and options.replies:
        result["replies"] = _replied(model, part, options.replies, out)
    if options.json:
        with atomic_path(Path(options.json)) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def _options(argv: list[str]) -> tuple[Any, Mapping[str, Any]]:
    """Return what the command line says, and what of it is about reading the text."""
    parser = _parser()
    options = parser.parse_args(argv)
    for name, known in (("checkpoint", CHECKPOINTS), ("split", SPLITS)):
        if options[name] not in (None, *known):
            raise InputError(f"{name} is {options[name]!r}; expected {', '.join(known)}")
    for name, least in (("replies", 0), ("tokens", 1)):
        if options[name] is not None and options[name] < least:
            raise InputError(f"{name} is {options[name]}; expected at least {least}")
    flags = parser.parse_args(argv, defaults=False)
    return options, vars(flags["corpus"]) if "corpus" in flags else {}


def _parser() -> Parser:
    parser = Parser(
        prog="scratchgpt evaluate", description="Measure how well a run predicts a text, and how it replies."
    )
    parser.add_argument("run", type=str, help="the folder of the run")
    parser.add_argument(
        "--checkpoint", type=str | None, help="best or last; default: the best if there is one"
    )
    parser.add_argument(
        "--split",
        type=str | None,
        help="which part of the text: held-out, training or whole; default: held-out, or whole with --data",
    )
    parser.add_argument("--data", type=str | None, help=f"{DATA_HELP}; default: the run's own")
    parser.add_argument(
        "--tokens", type=int | None, help="about so many, in whole rows, spread evenly; default: all"
    )
    parser.add_argument("--replies", type=int, default=200, help="of dialogues: how many replies to write")
    parser.add_argument("--json", type=str | None, help="a file to write the measures to")
    parser.add_class_arguments(CorpusSettings, "corpus")
    add_backend_arguments(parser)
    return parser


def _settings(run: Path) -> dict[str, Any]:
    """Return the settings of a run, of which a section may be missing but is nothing else.

    A model that is no run of ours has none.
    """
    path = run / "run.yaml"
    saved = load_yaml(path) if path.exists() else {}
    for section in ("corpus", "training"):
        if not isinstance(saved.setdefault(section, {}), dict):
            raise InputError(
                f"{run / 'run.yaml'}: section {section} is {saved[section]!r}; expected a mapping of options"
            )
    return saved


def _corpus(run: Path, saved: Mapping[str, Any], data: str | None, flags: Mapping[str, Any]) -> Corpus:
    """Return the text to evaluate on, read as the run has read its own unless flags say otherwise."""
    settings = from_mapping(CorpusSettings, {**saved["corpus"], **flags}, "corpus.")
    name = data or saved.get("data")
    if name is None:
        raise InputError(f"{run} has no run.yaml that names a text; expected --data")
    if not isinstance(name, str):
        raise InputError(f"{run / 'run.yaml'}: data is {name!r}; expected the name of a text, or --data")
    if name == "-" and data is None:
        raise InputError(f"{run} was trained on standard input, which is gone; expected --data")
    return open_corpus(name, **dataclasses.asdict(settings))


def _part(
    saved: Mapping[str, Any], corpus: Corpus, model: LanguageModel, split: str, out: Console
) -> tuple[int, data.Part]:
    """Return the batch size of the run, and the part of the text as the run has cut it."""
    names = ("val_fraction", "batch_size")
    known = {name: value for name, value in saved["training"].items() if name in names}
    training = from_mapping(TrainingSettings, known, "training.")
    text = tokens_of(corpus, model.tokenizer, out)
    if split == "whole":
        return training.batch_size, text
    train, held_out = data.split(text, training.val_fraction, model.model.config.block_size)
    return training.batch_size, train if split == "training" else held_out


def _predicted(
    model: LanguageModel, corpus: Corpus, part: data.Part, batch_size: int, tokens: int | None
) -> dict[str, float]:
    """Return how well the text is predicted, by the names of the measures."""
    loss, accuracy, n_targets = score(
        model.bound,
        data.rows_of(part, model.bound.config.block_size),
        batch_size=batch_size,
        max_tokens=tokens,
    )
    floor = nats_per_token(corpus, part)
    return {
        "tokens": n_targets,
        "loss": loss,
        **({} if floor is None else {"entropy_of_the_source": floor}),
        **in_other_units(loss, model.tokenizer, part),
        "accuracy": accuracy,
    }


def _replied(model: LanguageModel, part: data.Part, n: int, out: Console) -> dict[str, Any]:
    """Let the model reply in dialogues; print and return how near it comes."""
    asked = replies.replies(part, model.tokenizer, model.model.config.block_size, n)
    if not asked:
        out.print("no reply of the bot has a prompt that fits into a block")
        return {"number": 0}
    references, said = [reply.reference for reply in asked], replies.answers(model, asked)
    measures = {"number": len(asked), "exact_match": replies.exact_match(references, said)}
    bleu = replies.bleu(references, said)
    if bleu:
        measures["bleu"] = bleu.score
    out.print("replies, each token the likeliest")
    out.print(_table(measures))
    if bleu:
        out.print(f"BLEU: {bleu.signature}", soft_wrap=True)
    else:
        out.print("BLEU needs the package sacrebleu: pip install 'scratchgpt[eval]'", soft_wrap=True)
    rows = [
        {"prompt": reply.prompt, "reference": reply.reference, "said": words}
        for reply, words in zip(asked, said, strict=True)
    ]
    examples = [rows[i * len(rows) // N_EXAMPLES] for i in range(min(N_EXAMPLES, len(rows)))]
    out.print(_side_by_side(examples))
    return measures | ({"bleu_signature": bleu.signature} if bleu else {}) | {"examples": examples}


UNITS = {
    "loss": "{:.4f} nats per token",
    "entropy_of_the_source": "{:.4f} nats per token",
    "perplexity": "{:.3f}",
    "bits_per_byte": "{:.4f}",
    "accuracy": "{:.2%}",
    "exact_match": "{:.1%}",
    "bleu": "{:.1f}",
}


def _table(measures: Mapping[str, float]) -> Table:
    """Return a row for each measure."""
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    for name, value in measures.items():
        table.add_row(name.replace("_", " "), UNITS.get(name, "{:,}").format(value))
    return table


def _side_by_side(examples: Sequence[Mapping[str, str]]) -> Table:
    """Return the last turn of each prompt, what was said in the text, and what the model says."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("the user", "the text", "the model"):
        table.add_column(name, overflow="fold")
    for example in examples:
        asked = example["prompt"].rpartition(SEP)[0].rpartition(" User: ")[2]
        table.add_row(*map(printable, (asked, example["reference"], example["said"])))
    return table
