"""Read prompts from a file or standard input."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scratchgpt.corpora.jsonl import rows
from scratchgpt.corpora.standard_input import standard_input
from scratchgpt.corpora.text_files import file_source
from scratchgpt.errors import InputError
from scratchgpt.generation import loop
from scratchgpt.language_model.lm import LanguageModel


class Prompt(NamedTuple):
    """A prompt.

    Attributes:
        where: where it was read, for messages, e.g. "prompts.txt, line 3".
        text: the text to continue.
    """

    where: str
    text: str


def read_prompts(path: str) -> list[Prompt]:
    """Return the prompts in a file: one per line, or the field "prompt" of JSON lines (.jsonl).

    Blank lines are skipped; "-" is standard input.

    Raises:
        InputError: if the file cannot be read, is empty or not UTF-8, or a row has no prompt.
    """
    return list(_rows(Path(path)) if path.lower().endswith((".jsonl", ".jsonl.gz")) else _lines(path))


def check_prompts(prompts: Sequence[Prompt], language_model: LanguageModel) -> None:
    """Check that the model can continue every prompt, before it starts with the first.

    Raises:
        InputError: if a prompt has unknown characters, no token, or more than block_size tokens; the message
            says where it was read.
    """
    for prompt in prompts:
        try:
            loop.check_prompts([language_model.prompt_ids(prompt.text)], language_model.bound)
        except InputError as error:
            raise InputError(f"{prompt.where}: {error}") from None


def _lines(path: str) -> Iterator[Prompt]:
    source = standard_input() if path == "-" else file_source(Path(path))
    for number, line in source.lines():
        if line.strip():
            yield Prompt(f"{source.name}, line {number}", line)


def _rows(path: Path) -> Iterator[Prompt]:
    for row in rows(file_source(path)):
        yield Prompt(row.where, row.text("prompt"))
