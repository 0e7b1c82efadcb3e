"""Tables as data sets: a row an image. What CSV and JSON Lines files have in common once they are read."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featx.data.class_names import clean_name, warn_of_similar_classes
from featx.data.groups import clean_group
from featx.data.listing import Listing, RowGroups, find_split
from featx.data.sources.buckets.bucket_files import find_table_files, note_buckets
from featx.data.sources.columns import (
    MAYBE_SPLIT_NAMES,
    PATH_NAMES,
    ChosenColumns,
    ColumnChoice,
    choose_column,
    choose_columns,
    describe_columns,
    describe_weights,
    holds_numbers,
    read_split,
    read_weight,
    simplify_column,
)
from featx.data.sources.written_paths import DISK, TablePlace, describe_absence, find_path, folder_of, suggest_folder
from featx.errors import DataError, FeatxError, shorten
from featx.log import note
from featx.storage.addresses import names_user
from featx.storage.paths import is_object_url

log = logging.getLogger(__name__)

SEPARATORS = re.compile(r"[,;\t|]")
"""What may stand between the fields of a table."""

NO_LABELS = frozenset({"nan", "null", "n/a", "<na>", "#n/a", "None", "NA"})
"""What programs write for a missing value, in small letters unless it might well be a word."""

SLASHED = "backslashes in paths are read as slashes"

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
    nested : mapping of (int, str) to str
        Line and column of values that are neither texts nor numbers: what they are.
    place : TablePlace
        Where the file lies, with those that it names.
    """

    file: str
    columns: Sequence[str]
    rows: Sequence[ImageRow]
    remarks: Sequence[str] = ()
    nested: Mapping[tuple[int, str], str] = field(default_factory=dict)
    place: TablePlace = DISK


def list_paths(table: ImageTable, choice: ColumnChoice) -> list[str]:
    """List the paths of a table whose labels do not matter; what is not the standard is said in one line.

    Raises
    ------
    DataError
        If there is no column of paths, rows have none, or no file exists.
    """
    check_filled(table)
    with naming_file(table):
        column = choose_column(table.columns, PATH_NAMES, choice.path, "path")
        if column is None:
            raise DataError(
                f"there is no column path. The columns are {shorten(map(repr, filter(None, table.columns)))}: "
                "choose with --path-column, or name one path"
            )
    check_rows(table)
    problems = []
    for row in table.rows:
        problems += find_row_problems(table, row, {column: "path"})
    if problems:
        raise DataError(f"'{table.file}': {shorten(problems, SHOWN)}")
    paths = find_paths(table, column)
    remarks = [*table.remarks]
    if column != PATH_NAMES[0] and choice.path is None:
        remarks.append(f"paths are from column '{column}'")
    if is_slashed(table, column, paths):
        remarks.append(SLASHED)
    if remarks:
        note(log, f"'{table.file}': {'; '.join(remarks)}")
    return paths


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
    check_filled(table)
    columns = find_columns(table, choice)
    check_rows(table)
    problems = find_problems(table, columns)
    if problems:
        raise DataError(f"'{table.file}': {shorten(problems, SHOWN)}")
    paths = find_paths(table, columns.path)
    labels = [clean_name(row.values[columns.label]) for row in table.rows]
    splits = [read_split(columns.split, row.values.get(columns.split or "", "")) or "" for row in table.rows]
    remarks = [*table.remarks, *describe_columns(columns, table.columns, choice), *describe_rows(table, columns, paths)]
    if "" in splits and {"val", "test"} & set(splits):
        remarks.append(f"rows without a split count as training: {splits.count('')}")
    weights = None
    if columns.weight is not None:
        written = list_values(table, columns.weight)
        weights = np.array([read_weight(value) for value in written], np.float64)
        remarks += describe_weights(written)
    notes = (f"'{table.file}': {'; '.join(remarks)}",) if remarks else ()
    for line in notes:
        note(log, line)
    warn_of_no_labels(labels, table.file)
    warn_of_similar_classes(labels, table.file)
    groups = read_groups(table, columns, choice)
    files = find_table_files(table.file, paths, table.place)
    return Listing(data, paths, labels, splits, files, notes=notes, weights=weights, groups=groups)


def list_values(table: ImageTable, column: str) -> list[str]:
    """List what the rows of a table have in a column; "" where they have nothing."""
    return [row.values.get(column, "") for row in table.rows]


def read_groups(table: ImageTable, columns: ChosenColumns, choice: ColumnChoice) -> RowGroups | None:
    """Read which rows belong together; None where the table does not say."""
    if columns.group is None:
        return None
    names = [clean_group(value) for value in list_values(table, columns.group)]
    return RowGroups(names, f"column '{columns.group}'", is_guess=choice.group is None)


def check_filled(table: ImageTable) -> None:
    """Refuse a table without columns, such as a JSON Lines file without rows.

    Raises
    ------
    DataError
        With the file.
    """
    if not (table.rows or table.columns):
        raise DataError(f"'{table.file}' is empty: it has no rows")


def check_rows(table: ImageTable) -> None:
    """Refuse a table without rows.

    Raises
    ------
    DataError
        With the file.
    """
    if not table.rows:
        raise DataError(f"'{table.file}' is empty: it has a header and no rows")


def warn_of_no_labels(labels: Sequence[str], file: str) -> None:
    """Warn of labels that programs write where there is none, such as `nan`: here they are classes like any other."""
    counts = Counter(label for label in labels if label.lower() in NO_LABELS or label in NO_LABELS)
    for label, count in counts.items():
        rows, count_as, them = ("1 row", "counts", "it") if count == 1 else (f"{count} rows", "count", "them")
        log.warning(
            "'%s': %s of the label '%s' %s as a class: take %s out if it means that there is no label",
            *(file, rows, label, count_as, them),
        )


def find_columns(table: ImageTable, choice: ColumnChoice) -> ChosenColumns:
    """Choose the columns of a table.

    Raises
    ------
    DataError, UnknownName
        If they cannot be known; the error begins with the file.
    """
    naming_splits = []
    for name in table.columns:
        splits = find_named_splits(table, name)
        if len(splits) > 1 or (splits and simplify_column(name) in MAYBE_SPLIT_NAMES):
            naming_splits.append(name)
    with naming_file(table):
        columns = choose_columns(table.columns, choice, naming_splits)
    if columns.weight is not None and not holds_numbers(list_values(table, columns.weight)):
        columns = replace(columns, weight=None)
    # Only what was asked for must be sound.
    if choice.group is None and any(column == columns.group for _, column in table.nested):
        columns = replace(columns, group=None)
    return columns


def find_named_splits(table: ImageTable, column: str) -> set[str]:
    """Find the splits that the values of a column name; none if any of them is something else."""
    splits = set()
    for row in table.rows:
        value = row.values.get(column, "").strip()
        split = find_split(value) if value else ""
        if split is None:
            return set()
        splits.add(split)
    return splits - {""}


@contextmanager
def naming_file(table: ImageTable) -> Iterator[None]:
    """Let errors about columns begin with the file."""
    try:
        yield
    except FeatxError as error:
        raise type(error)(f"'{table.file}': {error}") from error


def find_problems(table: ImageTable, columns: ChosenColumns) -> list[str]:
    """List the rows that are incomplete, or whose split or weight is unknown, by their line numbers."""
    problems = []
    nouns = {columns.path: "path", columns.label: "label"}
    for row in table.rows:
        problems += find_row_problems(table, row, nouns)
        kind = table.nested.get((row.line, columns.group or ""))
        if kind:
            problems.append(f"line {row.line}: '{columns.group}' is {kind}, not a text or a number")
        if columns.split is not None:
            problems += find_split_problems(table, row, columns.split)
        if columns.weight is not None:
            problems += find_weight_problems(table, row, columns.weight)
    return problems


def find_split_problems(table: ImageTable, row: ImageRow, column: str) -> list[str]:
    """Say if what a row has in its column of splits is not known."""
    split = row.values.get(column, "")
    kind = table.nested.get((row.line, column))
    if kind:
        return [f"line {row.line}: '{column}' is {kind}, not a text or a number"]
    if read_split(column, split) is None:
        expected = "true or false" if simplify_column(column).startswith("is_") else "train, val or test"
        return [f"line {row.line}: unknown split '{split.strip()}' ({expected})"]
    return []


def find_weight_problems(table: ImageTable, row: ImageRow, column: str) -> list[str]:
    """Say if what a row has in its column of weights is none."""
    weight = row.values.get(column, "")
    kind = table.nested.get((row.line, column))
    if kind:
        return [f"line {row.line}: '{column}' is {kind}, not a number"]
    if read_weight(weight) is None:
        return [f"line {row.line}: the weight '{weight.strip()}' is not a number of at least 0"]
    return []


def find_row_problems(table: ImageTable, row: ImageRow, nouns: Mapping[str, str]) -> list[str]:
    """List what is wrong with a row.

    Parameters
    ----------
    nouns : mapping of str to str
        Columns that must hold something, and what that is.
    """
    problems = []
    line, values = row
    for value in values.values():
        swallowed = find_swallowed_file(table, value) if "\n" in value else None
        if swallowed:
            problems.append(f"line {line}: a value runs on to the row of '{swallowed}': a quote is not closed")
    for column, noun in nouns.items():
        value = values.get(column, "").strip()
        if (line, column) in table.nested:
            problems.append(f"line {line}: '{column}' is {table.nested[line, column]}, not a text or a number")
        elif not value:
            problems.append(f"line {line}: no {noun}")
        elif "\n" in value or "\r" in value:
            problems.append(f"line {line}: the {noun} holds a line break: a quote is opened and not closed")
        elif noun == "path" and names_user(value):
            problems.append(f"line {line}: the path is an address with the name of a user, which is never stored")
        elif not is_encodable(value):
            problems.append(f"line {line}: the {noun} holds a character that cannot be stored: {value!r}")
    return problems


def is_encodable(text: str) -> bool:
    """Whether a text can be stored and name a file: JSON can write NUL, and halves of characters."""
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def find_swallowed_file(table: ImageTable, value: str) -> str | None:
    """Find a file that is named in a later line of a value: such a value is the rest of the table after a stray quote.

    Captions of several lines are sound, and name no file of the data set.
    """
    folder = folder_of(table.file)
    for line in value.splitlines()[1:]:
        for word in SEPARATORS.split(line):
            path = word.strip(' "')
            if path and table.place.is_file(find_path(folder, path, table.place)):
                return path
    return None


def find_paths(table: ImageTable, column: str) -> list[str]:
    """Find the file that each row names.

    Raises
    ------
    DataError
        If not one of them exists.
    """
    folder = folder_of(table.file)
    place = table.place
    written = [row.values[column] for row in table.rows]
    paths = [place.name_path(find_path(folder, path, place)) for path in written]
    note_buckets(table.file, paths if place.takes_urls else written, place)
    # The first file that is there ends the search.
    if not any((place.takes_urls and is_object_url(path)) or place.exists(path) for path in paths):
        first = written[0].strip()
        counted_from = Path(folder).resolve() if place.is_on_disk else folder
        raise DataError(
            f"'{table.file}': {describe_absence(len(paths))}. The first is '{first}'; paths count from the folder of "
            f"the table, '{counted_from}'{suggest_folder(first) if place.is_on_disk else ''}"
        )
    return paths


def describe_rows(table: ImageTable, columns: ChosenColumns, paths: Sequence[str]) -> list[str]:
    """Say what was changed in paths and labels to read them."""
    labels = [row.values[columns.label] for row in table.rows]
    remarks = []
    if is_slashed(table, columns.path, paths):
        remarks.append(SLASHED)
    if any(label != label.strip() for label in labels):
        remarks.append("blanks around labels are taken off")
    return remarks


def is_slashed(table: ImageTable, column: str, paths: Sequence[str]) -> bool:
    """Whether backslashes in the paths of a table were read as slashes."""
    return any("\\" in row.values[column] and "\\" not in path for row, path in zip(table.rows, paths, strict=True))
