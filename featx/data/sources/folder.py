"""Folders as data sets: a folder a class, with or without folders of splits above or below them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from featx.data.class_names import warn_of_similar_classes
from featx.data.listing import ImageFiles, Listing
from featx.data.sources.image_files import ON_DISK
from featx.data.sources.layout import FolderLayout, find_layout
from featx.data.sources.passed_over import describe_passed_over
from featx.data.sources.tree import Tree, is_store
from featx.errors import DataError
from featx.log import note

log = logging.getLogger(__name__)


def list_folder(data: str, cache: Path | None = None, strict: bool = False) -> Listing:
    """List the pictures of class folders; `featx.data.sources.layout` says which layouts are read.

    What was taken for splits, and what was passed over, is logged in one line each.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    cache : pathlib.Path, optional
        The feature store in use, which is never listed; others are known by what they hold.
    strict : bool
        Whether files that are not pictures are listed all the same, and so fail.

    Raises
    ------
    DataError
        If there are no pictures, the folders may be read in two ways, or a folder cannot be read.
    """
    if is_store(data):
        raise DataError(f"'{data}' is a feature store of featx, not a data set: name the folder that holds the photos")
    return list_tree(data, Tree(str(Path(data)), cache, strict), ON_DISK)


def list_tree(data: str, tree: Tree, files: ImageFiles, remarks: Sequence[str] = ()) -> Listing:
    """List what lies in a tree of folders, on disk or in an archive.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    tree : Tree
    files : ImageFiles
        How the paths in the tree are read.
    remarks : sequence of str
        What was found out before, to be said with the rest.

    Raises
    ------
    DataError
        If there are no pictures, or the folders may be read in two ways.
    """
    try:
        layout = find_layout(tree)
        layout.notes[:0] = remarks
        listing = replace(list_layout(data, tree, layout), files=files)
    except DataError as error:
        passed_over = describe_passed_over(tree.skipped)
        raise DataError(f"{error} ({passed_over})" if passed_over else str(error)) from error
    for warning in layout.warnings:
        log.warning("%s", warning)
    for line in listing.notes:
        if line not in layout.warnings:
            note(log, line)
    warn_of_similar_classes(set(listing.labels), data)
    return listing


def list_all_pictures(data: str, tree: Tree, files: ImageFiles) -> Listing:
    """List every picture in a tree, whatever folder it lies in, without labels; what is passed over is logged.

    Raises
    ------
    DataError
        If a folder cannot be read.
    """
    paths = list(tree.files(tree.scan(tree.root)))
    passed_over = describe_passed_over(tree.skipped)
    if passed_over:
        note(log, f"'{data}': {passed_over}")
    nothing = [""] * len(paths)
    return Listing(data, paths, nothing, nothing, files, skipped=tuple(tree.skipped))


def list_layout(data: str, tree: Tree, layout: FolderLayout) -> Listing:
    """List the pictures of the parts of a layout, in their order."""
    paths: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    for part in layout.parts:
        for path in tree.files(part.contents):
            paths.append(path)
            labels.append(part.label)
            splits.append(part.split)
    skipped = tuple(sorted(tree.skipped, key=lambda file: file.path))
    lines = [*layout.warnings, *layout.notes, describe_passed_over(skipped)]
    notes = tuple(line for line in lines if line)
    return Listing(data, paths, labels, splits, ON_DISK, skipped=skipped, notes=notes)
