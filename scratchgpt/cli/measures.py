"""The tables that `scratchgpt evaluate` prints."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.table import Table

from scratchgpt.tokenizers.special_tokens import SEP
from scratchgpt.utils.terminal import printable

UNITS = {
    "loss": "{:.4f} nats per token",
    "entropy_of_the_source": "{:.4f} nats per token",
    "perplexity": "{:.3f}",
    "bits_per_byte": "{:.4f}",
    "accuracy": "{:.2%}",
    "exact_match": "{:.1%}",
    "bleu": "{:.1f}",
}


def measures_table(measures: Mapping[str, float]) -> Table:
    """Return a row per measure: its name, and its value with its unit."""
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    for name, value in measures.items():
        table.add_row(name.replace("_", " "), UNITS.get(name, "{:,}").format(value))
    return table


def replies_table(examples: Sequence[Mapping[str, str]]) -> Table:
    """Return a row per reply: the user's last turn, the reply in the text, and the model's reply.

    Args:
        examples: each with the keys "prompt", "reference" and "said".
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("user", "reference", "model"):
        table.add_column(name, overflow="fold")
    for example in examples:
        last_turn = example["prompt"].rpartition(SEP)[0].rpartition(" User: ")[2]
        table.add_row(*map(printable, (last_turn, example["reference"], example["said"])))
    return table
