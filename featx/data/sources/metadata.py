"""Folders whose images are listed by a file in them, on disk or in a zip file.

The file is `metadata.csv` or `metadata.jsonl`, as Hugging Face has them, or `labels.csv`. It lies in the folder itself,
or one in each of the folders `train`, `val`, `test`. Class folders go first: they are the older convention here, and
such a file often holds captions or sources only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import SPLITS, Listing, RowGroups
from featx.data.sources.columns import ColumnChoice
from featx.data.sources.csv_file import CSV_SUFFIXES, read_csv
from featx.data.sources.jsonl_file import JSONL_SUFFIXES, read_jsonl
from featx.data.sources.table import ImageTable, find_columns, list_table
from featx.data.sources.written_paths import DISK, FOLDER_ON_DISK, TablePlace, join_folder
from featx.errors import DataError, FeatxError
from featx.log import note

log = logging.getLogger(__name__)

TABLE_SUFFIXES = (*CSV_SUFFIXES, *JSONL_SUFFIXES)

METADATA_NAMES = ("metadata.csv", "metadata.jsonl")

LABELS_NAME = "labels.csv"
"""What many call it that do not know of Hugging Face; it counts where there is neither of those."""

FEW_CLASSES = 2
"""Class folders that make a data set; one folder, such as `images`, is no class."""


def list_metadata(
    data: str, choice: ColumnChoice, place: TablePlace = FOLDER_ON_DISK, root: str | None = None
) -> Listing | None:
    """List a folder by the metadata in it; None where there is none, or where the folder is to be read by its classes.

    Either is said in one line.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    choice : ColumnChoice
    place : TablePlace
        Where the folder lies.
    root : str, optional
        The folder, where that is not DATA itself.

    Raises
    ------
    DataError
        If two such files are there, or the one that is there cannot be used.
    """
    root = data if root is None else root
    files = find_metadata(root, place)
    if not files:
        return None
    named = ", ".join(f"'{file}'" for file in files)
    if choice or not has_class_folders(root, place):
        tables = [read_table(file, choice, place) for file in files]
        if not choice and not all(map(has_columns, tables)):
            note(log, f"'{data}': {named} is not read: it has no columns of paths and labels")
            return None
        line = f"'{data}': images and labels are read from {named}"
        note(log, line)
        listing = join_listings(root, [list_table(table, choice, data) for table in tables], files)
        return replace(listing, name=data, notes=(line, *listing.notes))
    instead = "which is DATA by itself" if place.is_on_disk else "which is read where --label-column names its labels"
    note(log, f"'{data}': labels are read from the class folders, not from {named}, {instead}")
    return None


def find_metadata(root: str, place: TablePlace) -> list[str]:
    """Find the metadata of a folder: in itself, else in its folders of splits, if each of them has some.

    Raises
    ------
    DataError
        If a folder holds two.
    """
    own = find_own(root, place)
    if own:
        return [own]
    folders = place.list_folders(root)
    if not folders or not all(is_split(folder) for folder in folders):
        return []
    found = [find_own(folder, place) for folder in folders]
    return [file for file in found if file] if all(found) else []


def find_own(folder: str, place: TablePlace) -> str | None:
    """Find the metadata that lies in a folder itself.

    Raises
    ------
    DataError
        If there are two.
    """
    found = [path for name in METADATA_NAMES if place.is_file(path := join_folder(folder, name))]
    if len(found) > 1:
        what = "give the one to read as DATA" if place.is_on_disk else "leave one of them out"
        raise DataError(f"'{folder}' holds {' and '.join(METADATA_NAMES)}: {what}")
    labels = join_folder(folder, LABELS_NAME)
    if not found and place.is_file(labels):
        return labels
    return found[0] if found else None


def is_split(folder: str) -> bool:
    """Whether a folder has the name of a split."""
    return Path(folder).name.lower() in SPLITS


def has_class_folders(root: str, place: TablePlace) -> bool:
    """Whether a folder can be read by its class folders, with or without folders of splits above them."""
    folders = place.list_folders(root)
    if folders and all(is_split(folder) for folder in folders):
        folders = [inner for folder in folders for inner in place.list_folders(folder)]
    elif any(is_split(folder) for folder in folders):
        return False
    return len({Path(folder).name for folder in folders}) >= FEW_CLASSES


def read_table(file: str, choice: ColumnChoice, place: TablePlace = DISK) -> ImageTable:
    """Read a table of either kind, by its suffix.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    return read_csv(file, choice, place) if file.lower().endswith(CSV_SUFFIXES) else read_jsonl(file, place)


def has_columns(table: ImageTable) -> bool:
    """Whether a table has columns of paths and labels."""
    try:
        find_columns(table, ColumnChoice())
    except FeatxError:
        return False
    return True


def join_listings(root: str, listings: Sequence[Listing], files: Sequence[str]) -> Listing:
    """Join the listings of the folders of splits; a folder's name says the split where its table does not."""
    paths: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    notes: tuple[str, ...] = ()
    for listing, file in zip(listings, files, strict=True):
        folder = Path(file).parent
        of_folder = SPLITS.get(folder.name.lower(), "") if folder != Path(root) else ""
        paths += listing.paths
        labels += listing.labels
        splits += [split or of_folder for split in listing.splits]
        notes += listing.notes
    weights = join_weights(listings)
    groups = join_groups(listings)
    return Listing(root, paths, labels, splits, listings[0].files, notes=notes, weights=weights, groups=groups)


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
