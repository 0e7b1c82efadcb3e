"""Lists of images to be labelled: tables with a column of paths, and paths on stdin. No labels are read."""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from pathlib import Path

from featx.data.sources.columns import PATH_NAMES, ColumnChoice, simplify_column
from featx.data.sources.csv_file import find_delimiter, parse_csv
from featx.data.sources.jsonl_file import parse_jsonl
from featx.data.sources.metadata import TABLE_SUFFIXES, read_table
from featx.data.sources.table import list_paths
from featx.data.text_file import MOST_NULS_IN_TEXT, decode_text
from featx.errors import DataError
from featx.paths import exists, is_file

STDIN_NAME = "stdin"
"""How errors call what was written to it."""


def is_path_table(path: str) -> bool:
    """Whether a path is a table that lists images, by its suffix."""
    return path.lower().endswith(TABLE_SUFFIXES) and is_file(path)


def split_paths(data: bytes) -> list[str]:
    """Split a list of paths: one a line, or with NUL between them as `find -print0` writes it."""
    separator = next((each for each in (b"\0", b"\n") if each in data), b"\r")
    lines = [line.rstrip(b"\r\n") for line in data.removeprefix(codecs.BOM_UTF8).split(separator)]
    # Names of files are bytes on Unix, whatever their encoding.
    return [os.fsdecode(line) for line in lines if line.strip()]


def read_stdin(data: bytes, path_column: str | None = None) -> list[str]:
    """Read what was written to stdin: a list of paths, or a table with a header; paths count from the current folder.

    Parameters
    ----------
    data : bytes
    path_column : str, optional
        Column of a table that holds the paths; None finds it by its name.

    Raises
    ------
    DataError
        If it is a table that cannot be read, or not UTF-8 but UTF-16.
    """
    lines = split_paths(data)
    check_list_encoding(data, lines)
    if not lines or exists(lines[0]):
        return lines
    choice = ColumnChoice(path_column)
    if lines[0].lstrip().startswith("{"):
        return list_paths(parse_jsonl(STDIN_NAME, decode_text(STDIN_NAME, data)), choice)
    delimiter = find_delimiter(lines[0], choice)
    names = {simplify_column(name.strip(' "')) for name in lines[0].split(delimiter)}
    if names.isdisjoint((*PATH_NAMES, simplify_column(path_column or PATH_NAMES[0]))):
        return lines
    table = parse_csv(STDIN_NAME, decode_text(STDIN_NAME, data), choice)
    # A header alone is an empty list, such as a program writes that found nothing.
    return list_paths(table, choice) if table.rows else []


def check_list_encoding(data: bytes, lines: Sequence[str]) -> None:
    """Refuse UTF-16, which looks like a list of names of one letter with NUL between them: "/" is a folder.

    Raises
    ------
    DataError
        If it looks so and the names do not exist.
    """
    has_mark = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if has_mark or (data.count(0) > MOST_NULS_IN_TEXT * len(data) and not all(map(exists, lines))):
        raise DataError("stdin looks like UTF-16: write the list of paths as UTF-8")


def read_path_table(file: str, choice: ColumnChoice) -> list[str]:
    """Read the paths that a table lists; they count from its own folder.

    Raises
    ------
    DataError
        If the table cannot be read, has no column of paths or no rows, or none of its files is there.
    """
    return list_paths(read_table(file, choice), choice)


def expand(path: str) -> Path:
    """Expand `~`, unless it is the beginning of a name."""
    if os.path.lexists(path):
        return Path(path)
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
