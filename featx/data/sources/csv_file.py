"""CSV files as data sets: a row an image."""

from __future__ import annotations

import csv
from pathlib import Path

from featx.data.listing import SPLITS, Listing
from featx.data.sources.image_files import read_file
from featx.errors import DataError, shorten

FIRST_ROW = 2
"""Line 1 is the header, as an editor counts lines."""


def is_csv_file(data: str) -> bool:
    """Whether DATA is a file whose name ends in `.csv`."""
    return Path(data).is_file() and data.lower().endswith(".csv")


def list_csv(data: str) -> Listing:
    """List the rows of a CSV file: path, label and, if wanted, split; paths count from the file's own folder.

    Raises
    ------
    DataError
        If the header lacks a column, or rows are incomplete; all problems are named at once.
    """
    folder = Path(data).parent
    rows = read_rows(data)
    if problems := find_problems(rows):
        raise DataError(f"'{data}': {shorten(problems, 5)}")
    if not rows:
        raise DataError(f"'{data}' is empty: it has a header and no rows")
    paths: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    for row in rows:
        paths.append(str(folder / row["path"]))
        labels.append(row["label"])
        splits.append(read_split(row))
    return Listing(data, paths, labels, splits, read_file)


def read_rows(data: str) -> list[dict[str, str]]:
    """Read all rows, each as column to value.

    Raises
    ------
    DataError
        If the header lacks a column.
    """
    # utf-8-sig: Excel begins its CSV files with a byte order mark, which would be part of the first column's name.
    with open(data, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, skipinitialspace=True)
        missing = {"path", "label"} - set(reader.fieldnames or ())
        if missing:
            columns = "columns" if len(missing) > 1 else "column"
            raise DataError(
                f"'{data}' lacks the {columns} {shorten(sorted(missing))}: "
                "line 1 must be path,label or path,label,split"
            )
        return list(reader)


def find_problems(rows: list[dict[str, str]]) -> list[str]:
    """List the rows that are incomplete, then those of an unknown split, by their line numbers."""
    incomplete = []
    unknown = []
    for line, row in enumerate(rows, FIRST_ROW):
        if not (row["path"] and row["label"]):
            incomplete.append(f"line {line}: no path or no label")
        split = row.get("split")
        if split and split.lower() not in SPLITS:
            unknown.append(f"line {line}: unknown split '{split}' (train, val or test)")
    return incomplete + unknown


def read_split(row: dict[str, str]) -> str:
    """Give the split of a row as featx calls it; "" where the row states none."""
    split = row.get("split")
    return SPLITS[split.lower()] if split else ""
