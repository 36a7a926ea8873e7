"""JSON lines: files with one JSON object, a row, on each line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scratchgpt.corpora.text_files import Source
from scratchgpt.errors import InputError


@dataclass(frozen=True)
class Row:
    """One row of a data set.

    Attributes:
        where: what error messages call it, e.g. "talk.jsonl, line 3".
        values: the fields and their values.
        errors: how to handle lone surrogates, which JSON can represent and UTF-8 cannot, as in `Source`.
    """

    where: str
    values: Mapping[str, Any]
    errors: str = "strict"

    def value(self, field: str) -> Any:
        """Return the value of a field.

        Raises:
            InputError: the row has no such field.
        """
        if field not in self.values:
            fields = ", ".join(map(repr, self.values))
            raise InputError(f"{self.where} has no field {field!r}; its fields are {fields or 'none'}")
        return self.values[field]

    def text(self, field: str) -> str:
        """Return the text in a field, with line endings normalized to newlines.

        Raises:
            InputError: the field is missing, is not text, or has a lone surrogate.
        """
        return self.checked(self.value(field), field)

    def checked(self, value: Any, field: str) -> str:
        """Return `value`, found in `field`, checked and normalized as by `text`."""
        if not isinstance(value, str):
            raise InputError(f"{self.where}: {field!r} holds {kind(value)}; expected text")
        try:  # UTF-16 can encode lone surrogates, and its decoder implements the three ways to handle them
            value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", self.errors)
        except UnicodeDecodeError:
            raise InputError(f"{self.where}: {field!r} holds a lone surrogate; expected text") from None
        return str(value).replace("\r\n", "\n").replace("\r", "\n")


def rows(source: Source) -> Iterator[Row]:
    """Yield the rows of a JSON lines file; blank lines are skipped.

    Raises:
        InputError: a line is not a JSON object; and as `Source.texts`.
    """
    for number, line in source.lines():
        if line.isspace() or not line:
            continue
        where = f"{source.name}, line {number}"
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{where} is not valid JSON: {error.msg} at column {error.colno}; expected a JSON object"
            ) from None
        except (ValueError, RecursionError) as error:  # a number of 5000 digits, 5000 brackets
            raise InputError(f"{where} is not usable JSON: {error}; expected a JSON object") from None
        if not isinstance(values, dict):
            raise InputError(f"{where} holds {kind(values)}; expected a JSON object")
        yield Row(where, values, source.errors)


def kind(value: Any) -> str:
    """Return the type of a value in JSON's terms."""
    kinds = {
        type(None): "null",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), type(value).__name__)
