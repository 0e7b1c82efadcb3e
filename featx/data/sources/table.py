"""Tables as data sets: a row an image. What CSV and JSON Lines files have in common once they are read."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.data.class_names import clean_name, warn_of_similar_classes
from featx.data.listing import SPLITS, Listing
from featx.data.sources.columns import (
    MAYBE_SPLIT_NAMES,
    ChosenColumns,
    ColumnChoice,
    choose_columns,
    describe_columns,
    read_split,
    read_weight,
    simplify_column,
)
from featx.data.sources.image_files import read_file
from featx.errors import DataError, FeatxError, shorten
from featx.log import note
from featx.paths import exists, expand_home, is_file

log = logging.getLogger(__name__)

SEPARATORS = re.compile(r"[,;\t|]")
"""What may stand between the fields of a table."""

SHOWN = 5
"""Problems that an error lists."""


class ImageRow(NamedTuple):
    """A row: its line in the file, counted from 1, and its values by column."""

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True)
class ImageTable:
    """A table as it stands in its file.

    Attributes
    ----------
    file : str
        Path of the file.
    columns : sequence of str
    rows : sequence of ImageRow
    remarks : sequence of str
        What was found out in reading it and should be said, such as another delimiter.
    """

    file: str
    columns: Sequence[str]
    rows: Sequence[ImageRow]
    remarks: Sequence[str] = ()


def list_table(table: ImageTable, choice: ColumnChoice, data: str) -> Listing:
    """List the rows of a table: path, label and, if there is one, split; paths count from the file's own folder.

    What was not said by the user and is not the standard is said in one line.

    Parameters
    ----------
    table : ImageTable
    choice : ColumnChoice
    data : str
        DATA as the user gave it.

    Raises
    ------
    DataError
        If columns are missing, rows are incomplete (all problems are named at once), or no file exists.
    """
    # A JSON Lines file without rows has no columns, either.
    if not (table.rows or table.columns):
        raise DataError(f"'{table.file}' is empty: it has no rows")
    columns = find_columns(table, choice)
    if not table.rows:
        raise DataError(f"'{table.file}' is empty: it has a header and no rows")
    problems = find_problems(table, columns)
    if problems:
        raise DataError(f"'{table.file}': {shorten(problems, SHOWN)}")
    paths = find_paths(table, columns)
    labels = [clean_name(row.values[columns.label]) for row in table.rows]
    splits = [read_split(columns.split, row.values.get(columns.split or "", "")) or "" for row in table.rows]
    remarks = [*table.remarks, *describe_columns(columns, table.columns, choice), *describe_rows(table, columns, paths)]
    if "" in splits and {"val", "test"} & set(splits):
        remarks.append(f"rows without a split count as training: {splits.count('')}")
    weights = read_weights(table, columns)
    remarks += describe_weights(table, columns)
    notes = (f"'{table.file}': {'; '.join(remarks)}",) if remarks else ()
    for line in notes:
        note(log, line)
    warn_of_similar_classes(labels, table.file)
    return Listing(data, paths, labels, splits, read_file, notes=notes, weights=weights)


def read_weights(table: ImageTable, columns: ChosenColumns) -> NDArray[np.float64] | None:
    """Read how often each row counts in training, (n,); None where the table does not say."""
    if columns.weight is None:
        return None
    return np.array([read_weight(row.values.get(columns.weight, "")) for row in table.rows], np.float64)


def describe_weights(table: ImageTable, columns: ChosenColumns) -> list[str]:
    """Say how many rows have no weight where others have one."""
    if columns.weight is None:
        return []
    without = sum(not row.values.get(columns.weight, "").strip() for row in table.rows)
    if not without:
        return []
    return ["1 row has no weight and counts once" if without == 1 else f"{without} rows have no weight and count once"]


def holds_numbers(table: ImageTable, column: str) -> bool:
    """Whether any value of a column is a number; a weight that is only ever "heavy" or "light" is something else."""
    for row in table.rows:
        try:
            float(row.values.get(column, ""))
        except ValueError:
            continue
        return True
    return False


def find_columns(table: ImageTable, choice: ColumnChoice) -> ChosenColumns:
    """Choose the columns of a table.

    Raises
    ------
    DataError, UnknownName
        If they cannot be known; the error begins with the file.
    """
    naming_splits = []
    for name in table.columns:
        if simplify_column(name) in MAYBE_SPLIT_NAMES:
            values = {row.values.get(name, "").strip().lower() for row in table.rows} - {""}
            if values and values <= set(SPLITS):
                naming_splits.append(name)
    try:
        columns = choose_columns(table.columns, choice, naming_splits)
        if columns.weight is not None and not holds_numbers(table, columns.weight):
            columns = replace(columns, weight=None)
        return columns
    except FeatxError as error:
        raise type(error)(f"'{table.file}': {error}") from error


def find_problems(table: ImageTable, columns: ChosenColumns) -> list[str]:
    """List the rows that are incomplete or whose split is unknown, by their line numbers."""
    problems = []
    folder = str(Path(table.file).parent)
    for line, values in table.rows:
        for value in values.values():
            swallowed = find_swallowed_file(folder, value) if "\n" in value else None
            if swallowed:
                problems.append(f"line {line}: a value runs on to the row of '{swallowed}': a quote is not closed")
        for column, noun in ((columns.path, "path"), (columns.label, "label")):
            value = values.get(column, "").strip()
            if not value:
                problems.append(f"line {line}: no {noun}")
            elif "\n" in value or "\r" in value:
                problems.append(f"line {line}: the {noun} holds a line break: a quote is opened and not closed")
        split = values.get(columns.split or "", "")
        if read_split(columns.split, split) is None:
            expected = (
                "true or false" if simplify_column(columns.split or "").startswith("is_") else "train, val or test"
            )
            problems.append(f"line {line}: unknown split '{split.strip()}' ({expected})")
        weight = values.get(columns.weight or "", "")
        if read_weight(weight) is None:
            problems.append(f"line {line}: the weight '{weight.strip()}' is not a number of at least 0")
    return problems


def find_swallowed_file(folder: str, value: str) -> str | None:
    """Find a file that is named in a later line of a value: such a value is the rest of the table after a stray quote.

    Captions of several lines are sound, and name no file of the data set.
    """
    for line in value.splitlines()[1:]:
        for word in SEPARATORS.split(line):
            path = word.strip(' "')
            if path and is_file(find_path(folder, path)):
                return path
    return None


def find_paths(table: ImageTable, columns: ChosenColumns) -> list[str]:
    """Find the file that each row names.

    Raises
    ------
    DataError
        If not one of them exists.
    """
    folder = str(Path(table.file).parent)
    written = [row.values[columns.path] for row in table.rows]
    paths = [find_path(folder, path) for path in written]
    # The first file that is there ends the search.
    if not any(map(exists, paths)):
        first = written[0].strip()
        raise DataError(
            f"'{table.file}': {describe_absence(len(paths))}. The first is '{first}'; paths count from the folder of "
            f"the table, '{Path(folder).resolve()}'{suggest_folder(first)}"
        )
    return paths


def describe_absence(count: int) -> str:
    """Say that none of the files of a table is there."""
    return "the only file that it names does not exist" if count == 1 else f"none of its {count} files exists"


def suggest_folder(path: str) -> str:
    """Say that a path exists counted from the current folder, if it does."""
    if Path(path).is_absolute() or not exists(path):
        return ""
    return f". It exists in the current folder, '{Path.cwd()}': move the table there"


def find_path(folder: str, written: str) -> str:
    """Turn a path as it is written in a table into one that can be opened.

    `~` is the home folder. Blanks around a path are taken off, and backslashes are read as slashes, unless there is a
    file of the very name.
    """
    path = join_folder(folder, written.strip())
    if written == written.strip() and "\\" not in written:
        return path
    for spelling in (written, written.strip(), written.strip().replace("\\", "/")):
        if exists(join_folder(folder, spelling)):
            return join_folder(folder, spelling)
    return path


def join_folder(folder: str, path: str) -> str:
    """Let a path count from a folder."""
    expanded = expand_home(path)
    # As text: Path objects are slow at a million rows. A Path also takes off "./", so that a row has one path only.
    return str(Path(folder) / expanded)


def describe_rows(table: ImageTable, columns: ChosenColumns, paths: Sequence[str]) -> list[str]:
    """Say what was changed in paths and labels to read them."""
    slashed = False
    stripped = False
    for row, path in zip(table.rows, paths, strict=True):
        slashed |= "\\" in row.values[columns.path] and "\\" not in path
        label = row.values[columns.label]
        stripped |= label != label.strip()
    remarks = []
    if slashed:
        remarks.append("backslashes in paths are read as slashes")
    if stripped:
        remarks.append("blanks around labels are taken off")
    return remarks
