"""JSON Lines files as data sets: an object a line, an image an object, as Hugging Face's image folders have them."""

from __future__ import annotations

import json
from typing import Any

from featx.data.listing import Listing
from featx.data.sources.columns import ColumnChoice
from featx.data.sources.table import SHOWN, ImageRow, ImageTable, list_table
from featx.data.sources.written_paths import DISK, TablePlace
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
    return list_table(read_jsonl(data), ColumnChoice() if choice is None else choice, data)


def read_jsonl(file: str, place: TablePlace = DISK) -> ImageTable:
    """Read a JSON Lines file.

    Raises
    ------
    DataError
        If a line is not a JSON object.
    """
    return parse_jsonl(file, place.read_text(file), place)


def parse_jsonl(file: str, text: str, place: TablePlace = DISK) -> ImageTable:
    """Make a table of the text of a JSON Lines file, as `read_jsonl` does; `file` names it.

    Its columns are the names in all objects, in the order in which they appear.

    Raises
    ------
    DataError
        If a line is not a JSON object.
    """
    columns: dict[str, None] = {}
    rows: list[ImageRow] = []
    nested: dict[tuple[int, str], str] = {}
    problems = []
    # Not splitlines, which would also split at line separators inside strings.
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            values = read_object(written)
        except DataError as error:
            problems.append(f"line {line}: {error}")
            continue
        columns.update(dict.fromkeys(values))
        rows.append(ImageRow(line, {name: as_text(value) for name, value in values.items()}))
        for name, value in values.items():
            if isinstance(value, list | dict):
                nested[line, name] = "a list" if isinstance(value, list) else "an object"
    if problems:
        raise DataError(f"'{file}': {shorten(problems, SHOWN)}")
    return ImageTable(file, list(columns), rows, nested=nested, place=place)


def read_object(text: str) -> dict[str, Any]:
    """Read a line as an object; values that are null or NaN are left out.

    Raises
    ------
    DataError
        If it is not a JSON object, or one that says two things by one name.
    """
    outermost: list[tuple[str, Any]] = []

    def keep_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # The outermost object is finished last.
        outermost[:] = pairs
        return dict(pairs)

    try:
        values = json.loads(text, object_pairs_hook=keep_pairs)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON ({explain_json(error)})") from error
    if not isinstance(values, dict):
        raise DataError('not an object such as {"file_name": "1.jpg", "label": "ants"}')
    for name, value in outermost:
        # Of two values Python keeps the last one. NaN is not equal to itself.
        if values[name] != value and value == value:
            raise DataError(f"'{name}' is there twice, with two values")
    return {name: value for name, value in values.items() if value is not None and value == value}


def explain_json(error: ValueError | RecursionError) -> str:
    """Say why Python does not read some JSON."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "it is nested too deeply" if isinstance(error, RecursionError) else "a number is too long"


def as_text(value: Any) -> str:
    """Write a value as text; numbers and truth values as JSON has them."""
    return value if isinstance(value, str) else json.dumps(value)
