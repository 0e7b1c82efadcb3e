"""Where images come from: DATA, as the user names it, becomes a listing.

One file a kind: `folder` (class folders), `csv_file` (a table of paths) and `digits` (built in). `image_files` holds
what they share: which files count as images, and how one is read. To add a kind, write a function from DATA to a
`Listing` and one entry in `SOURCES`; `list_images` and every command then take it.

Proof: tests/data/sources/, one file of tests for each file here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from featx.data.listing import Listing
from featx.data.sources.csv_file import is_csv_file, list_csv
from featx.data.sources.digits import is_digits, list_digits
from featx.data.sources.folder import is_folder, list_folder
from featx.data.sources.image_files import MAX_IMAGE_BYTES, is_system_file, read_file, walk
from featx.errors import DataError, FeatxError

__all__ = ["MAX_IMAGE_BYTES", "SOURCES", "is_system_file", "list_images", "read_file", "walk"]

SOURCES: dict[str, tuple[Callable[[str], bool], Callable[[str], Listing]]] = {
    "digits": (is_digits, list_digits),
    "folder": (is_folder, list_folder),
    "csv": (is_csv_file, list_csv),
}
"""Kind of source: whether DATA is of this kind, and how it is listed. The first kind that fits is taken."""


def list_images(data: str) -> Listing:
    """List the rows of DATA: a folder, a CSV file or the name of a built-in data set.

    Parameters
    ----------
    data : str
        As the user gave it.

    Returns
    -------
    Listing
        No image has been read yet.

    Raises
    ------
    DataError
        If DATA is none of these, is empty or cannot be read.
    """
    try:
        for is_of_this_kind, list_rows in SOURCES.values():
            if is_of_this_kind(data):
                return list_rows(data)
    except OSError as error:
        if isinstance(error, FeatxError):
            raise
        where = error.filename if error.filename is not None else data
        raise DataError(f"'{where}' cannot be read: {error.strerror or error}") from error
    problem = "is a file, but not a .csv" if Path(data).exists() else "does not exist"
    raise DataError(
        f"'{data}' {problem}: DATA is a folder with class folders, a CSV file (path,label[,split]) or 'digits'"
    )
