"""JSON Lines files as data sets: an object a line, an image an object, as Hugging Face's image folders have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from featx.data.listing import Listing
from featx.data.sources.columns import ColumnChoice
from featx.data.sources.table import SHOWN, ImageRow, ImageTable, find_columns, list_table
from featx.data.text_file import read_text
from featx.errors import DataError, shorten
from featx.paths import is_file

JSONL_SUFFIXES = (".jsonl", ".ndjson")


def is_jsonl_file(data: str) -> bool:
    """Whether DATA is a file whose name ends in `.jsonl` or `.ndjson`."""
    return data.lower().endswith(JSONL_SUFFIXES) and is_file(data)


def list_jsonl(data: str, choice: ColumnChoice | None = None) -> Listing:
    """List the rows of a JSON Lines file: path, label and, if wanted, split; paths count from the file's own folder.

    Raises
    ------
    DataError
        If a line is not a JSON object, or as for a CSV file; all problems are named at once.
    """
    choice = choice or ColumnChoice()
    return list_table(read_jsonl(data, choice), choice, data)


def read_jsonl(file: str, choice: ColumnChoice) -> ImageTable:
    """Read a JSON Lines file.

    Raises
    ------
    DataError
        If a line is not a JSON object, or what is to be read of it is a list or an object.
    """
    objects: list[tuple[int, dict[str, Any]]] = []
    problems = []
    # Not splitlines, which would also split at line separators inside strings.
    for line, text in enumerate(read_text(file).split("\n"), 1):
        if not text.strip():
            continue
        try:
            objects.append((line, read_object(text)))
        except DataError as error:
            problems.append(f"line {line}: {error}")
    if problems:
        raise DataError(f"'{file}': {shorten(problems, SHOWN)}")
    table = make_table(file, objects)
    if table.rows:
        check_values(table, objects, choice)
    return table


def read_object(text: str) -> dict[str, Any]:
    """Read a line as an object; values that are null or NaN are left out.

    Raises
    ------
    DataError
        If it is not a JSON object.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
        raise DataError(f"not valid JSON ({reason})") from error
    if not isinstance(values, dict):
        raise DataError('not an object such as {"file_name": "1.jpg", "label": "ants"}')
    # Only NaN is not equal to itself.
    return {name: value for name, value in values.items() if value is not None and value == value}


def make_table(file: str, objects: Sequence[tuple[int, dict[str, Any]]]) -> ImageTable:
    """Make a table of objects: its columns are all their names, in the order in which they appear."""
    columns: dict[str, None] = {}
    rows = []
    for line, values in objects:
        columns.update(dict.fromkeys(values))
        rows.append(ImageRow(line, {name: as_text(value) for name, value in values.items()}))
    return ImageTable(file, list(columns), rows)


def as_text(value: Any) -> str:
    """Write a value as text; numbers and truth values as JSON has them."""
    return value if isinstance(value, str) else json.dumps(value)


def check_values(table: ImageTable, objects: Sequence[tuple[int, dict[str, Any]]], choice: ColumnChoice) -> None:
    """Refuse objects whose path, label or split is a list or an object itself.

    Raises
    ------
    DataError
        With their lines.
    """
    columns = find_columns(table, choice)
    problems = []
    for line, values in objects:
        for name in (columns.path, columns.label, columns.split):
            value = values.get(name or "")
            if isinstance(value, list | dict):
                kind = "a list" if isinstance(value, list) else "an object"
                problems.append(f"line {line}: '{name}' is {kind}, not a text or a number")
    if problems:
        raise DataError(f"'{table.file}': {shorten(problems, SHOWN)}")
