"""`scratchgpt evaluate`: measure the loss on a text and, for dialogues, the quality of replies."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from scratchgpt import data
from scratchgpt.cli.measures import measures_table, replies_table
from scratchgpt.cli.options.evaluate import corpus_for, parse_evaluate_args, saved_settings
from scratchgpt.cli.options.model import load_model
from scratchgpt.corpora import Corpus
from scratchgpt.evaluation.metrics import in_other_units
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.language_model import replies
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.tokenizers.special_tokens import SEP
from scratchgpt.training.settings import TrainingSettings
from scratchgpt.training.text import entropy_per_token, tokenize
from scratchgpt.utils.files import atomic_path, make_folder
from scratchgpt.utils.terminal import console, printable
from scratchgpt.utils.validation import from_mapping

PROG = "scratchgpt evaluate"
N_EXAMPLES = 5  # replies to print
PARTS = {"held-out": "validation part", "training": "training part", "whole": "whole text"}  # by --split


def main(argv: Sequence[str]) -> int:
    """Print the metrics of a model on a text, and with --json write them to a file; return the exit code.

    Raises:
        InputError: if an option is invalid, or the run or the text cannot be read.
    """
    options, corpus_options = parse_evaluate_args(argv, PROG)
    if options.json:
        make_folder(Path(options.json).parent)  # fail now, not after measuring
    run, out = Path(options.run), console()
    checkpoint = options.checkpoint or _default_checkpoint(run)
    model = load_model(options.run, checkpoint, options)
    saved = saved_settings(run)
    corpus = corpus_for(run, saved, options.data, corpus_options)
    split = options.split or ("whole" if options.data else "held-out")
    training = _training_settings(saved)
    part = _part(corpus, model, split, training.val_fraction, out)

    measures = predict(model, corpus, part, training.batch_size, options.tokens)
    model_name = f"{run.name} ({checkpoint} checkpoint)" if checkpoint else run.name
    out.print(printable(f"{model_name} on {corpus.name}, {PARTS[split]}"), soft_wrap=True)
    out.print(measures_table(measures))

    result: dict[str, Any] = {
        "run": options.run,
        "checkpoint": checkpoint,
        "text": corpus.name,
        "split": split,
    }
    result |= measures
    if SEP in corpus.specials and options.replies:
        result["replies"] = reply(model, part, options.replies, out)
    if options.json:
        with atomic_path(Path(options.json)) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def predict(
    model: LanguageModel, corpus: Corpus, part: data.Part, batch_size: int, max_tokens: int | None
) -> dict[str, float]:
    """Return how well a model predicts a part of a text: the metrics by name.

    Args:
        model: the model.
        corpus: the text, which may know its entropy.
        part: the tokens of the part.
        batch_size: rows per batch.
        max_tokens: evaluate on at most about this many tokens; None means all.
    """
    loss, accuracy, n_targets = text_loss(
        model.bound,
        data.rows_of(part, model.bound.config.block_size),
        batch_size=batch_size,
        max_tokens=max_tokens,
    )
    floor = entropy_per_token(corpus, part)
    return {
        "tokens": n_targets,
        "loss": loss,
        **({} if floor is None else {"entropy_of_the_source": floor}),
        **in_other_units(loss, model.tokenizer, part),
        "accuracy": accuracy,
    }


def reply(model: LanguageModel, part: data.Part, n: int, out: Console) -> dict[str, Any]:
    """Generate up to `n` replies in dialogues; print and return how they compare with those in the text."""
    asked = replies.replies(part, model.tokenizer, model.model.config.block_size, n)
    if not asked:
        out.print("no turn of the bot has a prompt that fits into the context window")
        return {"number": 0}
    references, said = [each.reference for each in asked], replies.answers(model, asked)
    measures = {"number": len(asked), "exact_match": replies.exact_match(references, said)}
    bleu = replies.bleu(references, said)
    if bleu:
        measures["bleu"] = bleu.score
    out.print("replies, generated greedily")
    out.print(measures_table(measures))
    how = f"BLEU: {bleu.signature}" if bleu else "BLEU needs sacrebleu: pip install 'scratchgpt[eval]'"
    out.print(how, soft_wrap=True)
    examples = [
        {"prompt": asked[i].prompt, "reference": asked[i].reference, "said": said[i]}
        for i in (k * len(asked) // N_EXAMPLES for k in range(min(N_EXAMPLES, len(asked))))
    ]
    out.print(replies_table(examples))
    return measures | ({"bleu_signature": bleu.signature} if bleu else {}) | {"examples": examples}


def _default_checkpoint(run: Path) -> str | None:
    """Return "best" or "last", whichever exists first; None for a model that is not one of our runs."""
    return next((name for name in ("best", "last") if (run / f"{name}.safetensors").exists()), None)


def _training_settings(saved: Mapping[str, Any]) -> TrainingSettings:
    """Return the settings with the run's batch size and held-out fraction; the rest is not needed here."""
    names = ("val_fraction", "batch_size")
    known = {name: value for name, value in saved["training"].items() if name in names}
    return from_mapping(TrainingSettings, known, "training.")


def _part(corpus: Corpus, model: LanguageModel, split: str, val_fraction: float, out: Console) -> data.Part:
    """Return the tokens of the text, or of the part that training held out or kept."""
    text = tokenize(corpus, model.tokenizer, out)
    if split == "whole":
        return text
    train, held_out = data.split(text, val_fraction, model.model.config.block_size)
    return train if split == "training" else held_out
