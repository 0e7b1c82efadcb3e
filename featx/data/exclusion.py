"""Pictures that the user wants left out: a list of paths, such as `featx inspect --drop-list` writes."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from featx.data.listing import Listing
from featx.data.path_lists import is_path_table, read_path_table, split_paths
from featx.data.sources.columns import ColumnChoice
from featx.errors import DataError
from featx.files import read_regular_file
from featx.log import note

log = logging.getLogger(__name__)

MOST_BYTES = 2**30
"""A longer list is not read: that of ten million pictures has as much."""

COMMENT = "#"
"""Lines that begin so say why the paths below them are there."""


def leave_out(listing: Listing, file: Path | None) -> Listing:
    """Leave out the rows that a list of paths names; how many is said.

    Parameters
    ----------
    listing : Listing
    file : pathlib.Path or None
        One path a line, counted from the current folder, lines that begin with "#" passed over; or a table with a
        column of paths, which count from its own folder. None leaves out nothing.

    Raises
    ------
    DataError
        If the list cannot be read, names no image of the data set, or names all of them.
    """
    if file is None:
        return listing
    named = read_exclusions(file)
    if not named:
        note(log, f"'{file}' lists no paths: no image is left out")
        return listing
    excluded = {unify(path, listing.files.are_stored) for path in named}
    kept = [row for row, path in enumerate(listing.paths) if unify(path, listing.files.are_stored) not in excluded]
    left_out = len(listing) - len(kept)
    if not left_out:
        of_them = (
            f"its path '{named[0]}'" if len(named) == 1 else f"not one of its {len(named)} paths, such as '{named[0]}',"
        )
        raise DataError(
            f"'{file}': {of_them} is {'not ' if len(named) == 1 else ''}an image of '{listing.name}', such as "
            f"'{listing.paths[0]}': write paths as `featx inspect --drop-list` does"
        )
    if not kept:
        raise DataError(f"'{file}' lists every image of '{listing.name}': none is left")
    note(log, f"{left_out} of {len(listing)} images {'is' if left_out == 1 else 'are'} left out, as '{file}' says")
    return listing.subset(kept)


def read_exclusions(file: Path) -> list[str]:
    """Read the paths that a list names.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if is_path_table(str(file)):
        return read_path_table(str(file), ColumnChoice())
    try:
        data = read_regular_file(file, MOST_BYTES)
    except OSError as error:
        raise DataError(f"'{file}' cannot be read: {error.strerror or error}") from error
    return [path for path in split_paths(data) if not path.startswith(COMMENT)]


def unify(path: str, on_disk: bool) -> str:
    """Give a path as all spellings of it have it; names that are no files stay as they are."""
    return os.path.abspath(path) if on_disk else path  # noqa: PTH100 - a Path a row is slow at a million rows
