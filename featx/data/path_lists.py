"""Lists of images to be labelled: tables with a column of paths, and paths on stdin. No labels are read."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featx.data.sources.columns import PATH_NAMES, simplify_column
from featx.data.sources.csv_file import CSV_SUFFIXES, DELIMITERS
from featx.data.sources.jsonl_file import JSONL_SUFFIXES
from featx.data.sources.table import find_path
from featx.data.text_file import read_text
from featx.errors import DataError, shorten

log = logging.getLogger(__name__)

TABLE_SUFFIXES = (*CSV_SUFFIXES, *JSONL_SUFFIXES)


def is_path_table(path: str) -> bool:
    """Whether a path is a table that lists images, by its suffix."""
    return path.lower().endswith(TABLE_SUFFIXES) and Path(path).is_file()


def split_paths(data: bytes) -> list[str]:
    """Split a list of paths: one a line, or with NUL between them as `find -print0` writes it."""
    separator = b"\0" if b"\0" in data else b"\n"
    lines = [line.rstrip(b"\r\n") for line in data.removeprefix(b"\xef\xbb\xbf").split(separator)]
    # Names of files are bytes on Unix, whatever their encoding.
    return [os.fsdecode(line) for line in lines if line.strip()]


def read_stdin(data: bytes) -> list[str]:
    """Read what was written to stdin: a list of paths, or a table with a header; paths count from the current folder.

    Raises
    ------
    DataError
        If it is a table that cannot be read.
    """
    lines = split_paths(data)
    if not lines or os.path.lexists(lines[0]):
        return lines
    delimiter = max(DELIMITERS, key=lines[0].count)
    names = {simplify_column(name.strip(' "')) for name in lines[0].split(delimiter)}
    if names.isdisjoint(PATH_NAMES):
        return lines
    return read_column("stdin", "\n".join(lines))


def read_path_table(file: str) -> list[str]:
    """Read the paths that a table lists; they count from its own folder.

    Raises
    ------
    DataError
        If the table cannot be read, has no column of paths or no rows, or none of its files is there.
    """
    text = read_text(file)
    written = read_objects(file, text) if file.lower().endswith(JSONL_SUFFIXES) else read_column(file, text)
    if not written:
        raise DataError(f"'{file}' is empty: it lists no images")
    folder = str(Path(file).parent)
    paths = [find_path(folder, path) for path in written]
    if not any(os.path.lexists(path) for path in paths):
        raise DataError(
            f"'{file}': none of its {len(paths)} images is there, such as '{paths[0]}': "
            f"paths count from the folder of the table, '{folder}'"
        )
    return paths


def read_column(file: str, text: str) -> list[str]:
    """Read the column of paths of a table with a header.

    Raises
    ------
    DataError
        If there is none, or rows do not fit the header.
    """
    lines = text.splitlines(keepends=True)
    header = next((line for line in lines if line.strip()), "")
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    paths: list[str] = []
    column: int | None = None
    names: Sequence[str] = ()
    try:
        for fields in reader:
            if not "".join(fields).strip():
                continue
            if column is None:
                names = fields
                column = find_column(file, fields)
                continue
            if len(fields) > len(names):
                raise DataError(
                    f"'{file}', line {reader.line_num}: {len(fields)} fields, but the header has {len(names)}: "
                    "put quotes around a path that holds the delimiter"
                )
            if len(fields) <= column or not fields[column].strip():
                raise DataError(f"'{file}', line {reader.line_num}: no path")
            paths.append(fields[column].strip())
    except csv.Error as error:
        raise DataError(f"'{file}', line {reader.line_num}: its quotes are not closed") from error
    if delimiter != ",":
        log.warning("'%s': fields are separated by %s", file, DELIMITERS[delimiter])
    return paths


def find_column(file: str, names: Sequence[str]) -> int:
    """Find the column of paths, and say so where it has another name.

    Raises
    ------
    DataError
        If there is none.
    """
    lowered = [simplify_column(name) for name in names]
    for known in PATH_NAMES:
        if known in lowered:
            column = lowered.index(known)
            if known != PATH_NAMES[0]:
                log.warning("'%s': paths are taken from the column '%s'", file, names[column].strip())
            return column
    raise DataError(
        f"'{file}' has no column of paths but {shorten(map(repr, names), 6)}: line 1 must name a column 'path'"
    )


def read_objects(file: str, text: str) -> list[str]:
    """Read the paths of JSON Lines: an object a line.

    Raises
    ------
    DataError
        If a line is no object, or has no path.
    """
    paths: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"'{file}', line {number}: it is not JSON") from error
        if not isinstance(values, dict):
            raise DataError(f'\'{file}\', line {number}: it is not an object such as {{"path": "a.jpg"}}')
        by_name = {simplify_column(name): value for name, value in values.items()}
        path = next((by_name[name] for name in PATH_NAMES if name in by_name), None)
        if not isinstance(path, str) or not path:
            raise DataError(f"'{file}', line {number}: no path")
        paths.append(path)
    return paths


def expand(path: str) -> Path:
    """Expand `~`, unless it is the beginning of a name."""
    if os.path.lexists(path):
        return Path(path)
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
