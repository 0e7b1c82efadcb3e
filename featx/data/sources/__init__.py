"""Where images come from: DATA, as the user names it, becomes a listing.

One file a kind: `folder` (class folders), `csv_file` (a table of paths) and `digits` (built in). `image_files` holds
what they share: which files count as images, and how one is read. To add a kind, write a function from DATA to a
`Listing` and one entry in `SOURCES`; `list_images` and every command then take it.

Of folders, read `folder`, then `layout` (classes, splits, or neither) and `tree` (what is below a folder, without side
files, stores and loops); `side_files` and `content` say what is no picture, `passed_over` words it.

Proof: tests/data/sources/, one file of tests for each file here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from featx.data.listing import Listing
from featx.data.sources.csv_file import is_csv_file, list_csv
from featx.data.sources.digits import is_digits, list_digits
from featx.data.sources.folder import is_folder, list_folder
from featx.data.sources.image_files import MAX_IMAGE_BYTES, is_system_file, read_file, walk
from featx.errors import DataError

__all__ = ["MAX_IMAGE_BYTES", "SOURCES", "is_built_in", "is_system_file", "list_images", "read_file", "walk"]

SOURCES: dict[str, tuple[Callable[[str], bool], Callable[[str], Listing]]] = {
    "digits": (is_digits, list_digits),
    "folder": (is_folder, list_folder),
    "csv": (is_csv_file, list_csv),
}
"""Kind of source: whether DATA is of this kind, and how it is listed. The first kind that fits is taken."""


BUILT_IN = "builtin:"
"""What DATA begins with where it names a built-in data set, whatever lies in the current folder."""


def is_built_in(data: str) -> bool:
    """Whether DATA is the name of a built-in data set and no path; a folder of the same name does not matter."""
    return data == "digits" or data.startswith(BUILT_IN)


def list_images(data: str, cache: Path | None = None, strict: bool = False) -> Listing:
    """List the rows of DATA: a folder, a CSV file or the name of a built-in data set.

    Parameters
    ----------
    data : str
        As the user gave it.
    cache : pathlib.Path, optional
        The feature store in use, which is never listed.
    strict : bool
        Whether files in class folders that are not pictures are listed, and so fail.

    Returns
    -------
    Listing
        No image has been read yet.

    Raises
    ------
    DataError
        If DATA is none of these, or is empty.
    """
    for is_of_this_kind, list_rows in SOURCES.values():
        if is_of_this_kind(data):
            return list_folder(data, cache, strict) if list_rows is list_folder else list_rows(data)
    if data.startswith(BUILT_IN):
        raise DataError(f"there is no built-in data set '{data.removeprefix(BUILT_IN)}': there is 'digits'")
    problem = "is a file, but not a .csv" if os.path.lexists(data) else "does not exist"
    raise DataError(
        f"'{data}' {problem}: DATA is a folder with class folders, a CSV file (path,label[,split]) or 'digits'"
    )
