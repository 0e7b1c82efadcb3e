"""Folders whose images are listed by a file in them: `metadata.csv` or `metadata.jsonl`, as Hugging Face has them.

The file lies in the folder itself, or one in each of the folders `train`, `val`, `test`. Class folders go first: they
are the older convention here, and such a file often holds captions or sources only.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import SPLITS, Listing, RowGroups
from featx.data.sources.columns import ColumnChoice
from featx.data.sources.csv_file import is_csv_file, read_csv
from featx.data.sources.image_files import ON_DISK
from featx.data.sources.jsonl_file import read_jsonl
from featx.data.sources.table import ImageTable, find_columns, list_table
from featx.errors import DataError, FeatxError
from featx.log import note
from featx.paths import is_file, is_folder

log = logging.getLogger(__name__)

METADATA_NAMES = ("metadata.csv", "metadata.jsonl")

FEW_CLASSES = 2
"""Class folders that make a data set; one folder, such as `images`, is no class."""


def list_metadata(data: str, choice: ColumnChoice) -> Listing | None:
    """List a folder by the metadata in it; None where there is none, or where the folder is to be read by its classes.

    Either is said in one line.

    Raises
    ------
    DataError
        If two such files are there, or the one that is there cannot be used.
    """
    files = find_metadata(data)
    if not files:
        return None
    named = ", ".join(f"'{file}'" for file in files)
    if choice or not has_class_folders(data):
        tables = [read_table(file, choice) for file in files]
        if not choice and not all(map(has_columns, tables)):
            note(log, f"'{data}': {named} is not read: it has no columns of paths and labels")
            return None
        line = f"'{data}': images and labels are read from {named}"
        note(log, line)
        listing = join_listings(data, [list_table(table, choice, data) for table in tables], files)
        return replace(listing, notes=(line, *listing.notes))
    note(log, f"'{data}': labels are read from the class folders, not from {named}, which is DATA by itself")
    return None


def find_metadata(data: str) -> list[str]:
    """Find the metadata of a folder: in itself, else in its folders of splits, if each of them has some.

    Raises
    ------
    DataError
        If a folder holds two.
    """
    own = find_own(data)
    if own:
        return [own]
    folders = list_folders(data)
    if not folders or not all(folder.name.lower() in SPLITS for folder in folders):
        return []
    found = [find_own(str(folder)) for folder in folders]
    return [file for file in found if file] if all(found) else []


def find_own(folder: str) -> str | None:
    """Find the metadata that lies in a folder itself.

    Raises
    ------
    DataError
        If there are two.
    """
    found = [path for name in METADATA_NAMES if is_file(path := str(Path(folder) / name))]
    if len(found) > 1:
        raise DataError(f"'{folder}' holds {' and '.join(METADATA_NAMES)}: give the one to read as DATA")
    return found[0] if found else None


def list_folders(data: str) -> list[Path]:
    """List the visible folders in a folder, sorted; none where it may not be read."""
    try:
        with os.scandir(data) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith((".", "__", "@")))
    except OSError:
        return []
    return [Path(data) / name for name in names if is_folder(Path(data) / name)]


def has_class_folders(data: str) -> bool:
    """Whether a folder can be read by its class folders, with or without folders of splits above them."""
    folders = list_folders(data)
    if folders and all(folder.name.lower() in SPLITS for folder in folders):
        folders = [inner for folder in folders for inner in list_folders(str(folder))]
    elif any(folder.name.lower() in SPLITS for folder in folders):
        return False
    return len({folder.name for folder in folders}) >= FEW_CLASSES


def read_table(file: str, choice: ColumnChoice) -> ImageTable:
    """Read metadata of either kind."""
    return read_csv(file, choice) if is_csv_file(file) else read_jsonl(file)


def has_columns(table: ImageTable) -> bool:
    """Whether a table has columns of paths and labels."""
    try:
        find_columns(table, ColumnChoice())
    except FeatxError:
        return False
    return True


def join_listings(data: str, listings: Sequence[Listing], files: Sequence[str]) -> Listing:
    """Join the listings of the folders of splits; a folder's name says the split where its table does not."""
    paths: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    notes: tuple[str, ...] = ()
    for listing, file in zip(listings, files, strict=True):
        folder = Path(file).parent
        of_folder = SPLITS.get(folder.name.lower(), "") if folder != Path(data) else ""
        paths += listing.paths
        labels += listing.labels
        splits += [split or of_folder for split in listing.splits]
        notes += listing.notes
    weights = join_weights(listings)
    return Listing(data, paths, labels, splits, ON_DISK, notes=notes, weights=weights, groups=join_groups(listings))


def join_weights(listings: Sequence[Listing]) -> NDArray[np.float64] | None:
    """Join the weights of several tables; rows of a table without weights count once."""
    if all(listing.weights is None for listing in listings):
        return None
    parts = [np.ones(len(listing)) if listing.weights is None else listing.weights for listing in listings]
    return np.concatenate(parts)


def join_groups(listings: Sequence[Listing]) -> RowGroups | None:
    """Join the groups of several tables by their names; rows of a table that says nothing belong to no others."""
    given = [listing.groups for listing in listings if listing.groups is not None]
    if not given:
        return None
    names: list[str] = []
    for listing in listings:
        names += listing.groups.names if listing.groups else [""] * len(listing)
    return replace(given[0], names=names)
