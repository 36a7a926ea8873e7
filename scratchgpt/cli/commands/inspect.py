"""`scratchgpt inspect`: look inside a trained model while it reads a text."""

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
MAX_TOKENS_IN_PICTURE = 64  # more labels would be unreadable
HEADS_PER_PICTURE = 12
TOP_IN_PICTURE = 20
TOP_IN_TABLE = 10


def main(argv: Sequence[str]) -> int:
    """Draw what happens inside a model, and print the most likely next tokens; return the exit code."""
    parser = Parser(prog=PROG, description="Look inside a model while it reads a text.")
    parser.add_argument("run", metavar="RUN", type=str, help="the folder of a run")
    parser.add_argument("--text", type=str, required=True, help="the text to read, at least 2 tokens")
    parser.add_argument("--out", type=str | None, help="the folder for the pictures; default: RUN/inspect")
    add_checkpoint_argument(parser)
    add_backend_arguments(parser)
    options = parser.parse_args(list(argv))
    if options.out is None and not Path(options.run).is_dir():
        raise InputError(f"{options.run} is not a folder; add --out FOLDER for the pictures")
    lm = load_model(options.run, options.checkpoint, options)
    ids = lm.tokenizer.encode(options.text, allow_special=True)
    if len(ids) < 2:
        raise InputError(f"the text has {counted(len(ids), 'token')}; expected at least 2")
    out = make_folder(options.out or Path(options.run, "inspect"))
    n_tokens, ids = len(ids), ids[-lm.model.config.block_size :]
    lens = logit_lens(lm.bound, ids, lm.tokenizer.vocab_size)
    loss, norms = gradient_norms(lm.bound, ids)
    about = _about(lm, n_tokens, len(ids), loss)
    terminal = console()
    sections: list[str] = []
    n_pictures = 4 + lm.model.config.n_layer * -(-lm.model.config.n_head // HEADS_PER_PICTURE)
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
    """Return lines that describe the model and the text."""
    config = lm.model.config
    read = (
        f"the last {n_read} of {n_tokens:,} tokens (a full context window)"
        if n_read < n_tokens
        else counted(n_read, "token")
    )
    return (
        f"{counted(config.n_layer, 'layer')} with {counted(config.n_head, 'head')} each, "
        f"{counted(lm.model.size, 'parameter')}\n"
        f"read {read}: loss {loss:.4f} nats per token, perplexity {perplexity(loss):,.4g}"
    )


def _pictures(lm: LanguageModel, ids: Array, lens: Lens, norms: dict[str, float]) -> Iterator[Picture]:
    """Yield the pictures in the order of the page."""
    words = drawable(labels(lm.tokenizer, ids))[-MAX_TOKENS_IN_PICTURE:]
    T = len(words)
    shown = f" Shown: the last {T} of {len(ids)} tokens." if len(ids) > T else ""
    best = np.argsort(-lens.last, kind="stable")[:TOP_IN_PICTURE]
    yield Picture(
        "next-tokens",
        "Next token",
        f"The {len(best)} most likely next tokens, out of {counted(len(lens.last), 'token')}.",
        figures.next_tokens(drawable(labels(lm.tokenizer, best)), lens.last[best].tolist()),
    )
    yield Picture(
        "logit-lens",
        "Logit lens",
        "The prediction after each token if the model stopped after a block: the most likely next token "
        "and its probability, by the model's final LayerNorm and head. The last column is the prediction "
        "itself." + (" Not all layers are shown." if len(lens.ids) > figures.MAX_COLUMNS else "") + shown,
        figures.logit_lens(
            [drawable(labels(lm.tokenizer, layer)) for layer in lens.ids[:, -T:]], lens.probs[:, -T:], words
        ),
    )
    yield Picture(
        "residual-norms",
        "Norm of the residual stream",
        "The norm of each token's vector, before the first block and after each block. Blocks only add to it."
        + shown,
        figures.residual_norms(residual.norms(lm.bound, ids)[:, -T:], words),
    )
    maps = attention_maps(lm.bound, ids)[:, :, -T:, -T:]
    for layer, heads in enumerate(maps):
        for first in range(0, len(heads), HEADS_PER_PICTURE):
            part = f"-heads-{first}" if len(heads) > HEADS_PER_PICTURE else ""
            yield Picture(
                f"attention-{layer}{part}",
                f"Attention in h.{layer}" + (f", heads {first} and up" if part else ""),
                "Each row is a query token, each column a key token. A row sums to 1"
                + (f" including earlier tokens.{shown}" if shown else "."),
                figures.attention(heads[first : first + HEADS_PER_PICTURE], first, words),
            )
    yield Picture(
        "gradient-norms",
        "Gradients",
        "The gradient norm of every parameter, for the loss on this text.",
        figures.gradient_norms(norms),
    )


def _table(lm: LanguageModel, lens: Lens) -> Table:
    """Return a table of the most likely next tokens."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("next token", "id", "probability"):
        table.add_column(name, justify="left" if name == "next token" else "right")
    best = np.argsort(-lens.last, kind="stable")[:TOP_IN_TABLE].tolist()
    for token, word in zip(best, labels(lm.tokenizer, best), strict=True):
        table.add_row(printable(word), str(token), f"{lens.last[token]:.4f}")
    return table
