"""`scratchgpt inspect`: what happens inside a trained model when it reads a text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from scratchgpt.cli.options.model import add_backend_arguments, add_checkpoint_argument, load_model
from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.evaluation.metrics import perplexity
from scratchgpt.inspection import figures, residual
from scratchgpt.inspection.attention_maps import attention_maps
from scratchgpt.inspection.gradient_norms import gradient_norms
from scratchgpt.inspection.labels import drawable, labels
from scratchgpt.inspection.logit_lens import Lens, logit_lens
from scratchgpt.inspection.page import Picture, write_page
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.shapes import Array
from scratchgpt.utils.files import make_folder
from scratchgpt.utils.progress_bar import progress_bar
from scratchgpt.utils.terminal import console, printable
from scratchgpt.utils.words import counted

PROG = "scratchgpt inspect"
LONGEST = 64  # tokens whose labels can be read
HEADS = 12  # in a picture
TOP = 20  # next tokens in the picture
TOP_IN_TABLE = 10


def main(argv: Sequence[str]) -> int:
    """Draw what a run does with a text, and print its likeliest next tokens; return the exit code."""
    parser = Parser(prog=PROG, description="Look inside a model while it reads a text.")
    parser.add_argument("run", type=str, help="the folder of a run")
    parser.add_argument("--text", type=str, required=True, help="what it reads, 2 tokens or more")
    parser.add_argument("--out", type=str | None, help="where the pictures go; default: RUN/inspect")
    add_checkpoint_argument(parser)
    add_backend_arguments(parser)
    options = parser.parse_args(list(argv))
    if options.out is None and not Path(options.run).is_dir():
        raise InputError(
            f"{options.run} is not a folder; expected a run, or --out for the pictures of another model"
        )
    lm = load_model(options.run, options.checkpoint, options)
    backend = lm.backend
    ids = lm.tokenizer.encode(options.text, allow_special=True)
    if len(ids) < 2:
        raise InputError(f"the text has {counted(len(ids), 'token')}; expected 2 or more to look at")
    out = make_folder(options.out or Path(options.run, "inspect"))
    n_tokens, ids = len(ids), ids[-lm.model.config.block_size :]
    lens = logit_lens(lm.model, lm.params, ids, backend, lm.tokenizer.vocab_size)
    loss, norms = gradient_norms(lm.model, lm.params, ids, backend)
    about = _about(lm, n_tokens, len(ids), loss)
    terminal = console()
    sections: list[str] = []
    n_pictures = 4 + lm.model.config.n_layer * -(-lm.model.config.n_head // HEADS)
    with progress_bar(terminal, "drawing") as show:
        for picture in _pictures(lm, ids, lens, norms):
            show(len(sections), n_pictures)
            sections.append(picture.write(out))
    write_page(
        out / "inspect.html", Path(options.run).absolute().name, about, labels(lm.tokenizer, ids), sections
    )
    terminal.print(about)
    terminal.print(_table(lm, lens))
    terminal.print(
        f"pictures: {printable(str(out))}\npage: {printable(str(out / 'inspect.html'))}", soft_wrap=True
    )
    return 0


def _about(lm: LanguageModel, n_tokens: int, n_read: int, loss: float) -> str:
    """Return what is shown, in words."""
    config = lm.model.config
    read = (
        f"the last {n_read} of {n_tokens:,} tokens, a block"
        if n_read < n_tokens
        else counted(n_read, "token")
    )
    return (
        f"{counted(config.n_layer, 'layer')}, {counted(config.n_head, 'head')} in each, "
        f"{counted(lm.model.size, 'parameter')}\n"
        f"it read {read}, with a loss of {loss:.4f} nats per token, perplexity {perplexity(loss):,.4g}"
    )


def _pictures(lm: LanguageModel, ids: Array, lens: Lens, norms: dict[str, float]) -> Iterator[Picture]:
    """Yield the pictures one by one."""
    words = drawable(labels(lm.tokenizer, ids))[-LONGEST:]
    T = len(words)
    of = f" Shown are the last {T} of {len(ids)} tokens." if len(ids) > T else ""
    best = np.argsort(-lens.last, kind="stable")[:TOP]
    yield Picture(
        "next-tokens",
        "What comes next",
        f"The {len(best)} likeliest tokens after the text, of {counted(len(lens.last), 'token')}.",
        figures.next_tokens(drawable(labels(lm.tokenizer, best)), lens.last[best].tolist()),
    )
    yield Picture(
        "logit-lens",
        "Logit lens",
        "What the model would say after each token if it stopped after a layer: the likeliest next token and "
        "its probability, by the model's own last LayerNorm and head. The last column is what it does say."
        + (" Of the layers some are shown." if len(lens.ids) > figures.MANY else "")
        + of,
        figures.logit_lens(
            [drawable(labels(lm.tokenizer, layer)) for layer in lens.ids[:, -T:]], lens.probs[:, -T:], words
        ),
    )
    yield Picture(
        "residual-norms",
        "Length of the residual stream",
        "How long the vector of each token is, below the first block and after each. Blocks only add to it."
        + of,
        figures.residual_norms(residual.norms(lm.model, lm.params, ids, lm.backend)[:, -T:], words),
    )
    maps = attention_maps(lm.model, lm.params, ids, lm.backend)[:, :, -T:, -T:]
    for layer, heads in enumerate(maps):
        for first in range(0, len(heads), HEADS):
            part = f"-heads-{first}" if len(heads) > HEADS else ""
            yield Picture(
                f"attention-{layer}{part}",
                f"Attention in h.{layer}" + (f", from head {first} on" if part else ""),
                "Each row is a token that looks, each column one that is looked at. A row adds up to 1"
                + (f" with the tokens before these.{of}" if of else "."),
                figures.attention(heads[first : first + HEADS], first, words),
            )
    yield Picture(
        "gradient-norms",
        "Gradients",
        "How strongly the loss of this text pulls at each parameter: the norm of the gradient.",
        figures.gradient_norms(norms),
    )


def _table(lm: LanguageModel, lens: Lens) -> Table:
    """Return the likeliest next tokens for a terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("next token", "id", "probability"):
        table.add_column(name, justify="left" if name == "next token" else "right")
    best = np.argsort(-lens.last, kind="stable")[:TOP_IN_TABLE].tolist()
    for token, word in zip(best, labels(lm.tokenizer, best), strict=True):
        table.add_row(printable(word), str(token), f"{lens.last[token]:.4f}")
    return table
