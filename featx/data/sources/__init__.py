"""Where images come from: DATA, as the user names it, becomes a listing.

One file a kind: `folder` (class folders), `csv_file` and `jsonl_file` (tables of paths; `columns` and `table` hold what
they share), `metadata` (a folder with such a table in it), `digits` (built in), `archives.zip_file` and
`archives.shards` (images in zip and tar files), `columnar.parquet_file` and `columnar.saved_dataset` (images in columns
of tables), `buckets.bucket_folder` (all of these but zip and Parquet, in object stores), `web.web_table` (tables at
addresses of the web). `image_files` says which files count as images, and how one is read. To add a kind, write a
function from DATA to a `Listing`, whose `files` say how images are read where they are not files on disk, and one entry
in `SOURCES`, or in `TABLES` for files in whose columns the user may choose; `list_images` and every command then take
it.

Of folders, read `folder`, then `layout` (classes, splits, or neither) and `tree` (what is below a folder, without side
files, stores and loops); `side_files` and `content` say what is not a picture, `passed_over` words it, and
`doubts` says what may have been meant instead.

Proof: tests/data/sources/, one file of tests for each file here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from featx.data.listing import Listing
from featx.data.sources.archives.shards import is_shards, list_shards
from featx.data.sources.archives.zip_file import is_zip, list_zip
from featx.data.sources.buckets.bucket_folder import is_bucket, list_bucket
from featx.data.sources.columnar.parquet_file import is_parquet, list_parquet
from featx.data.sources.columnar.saved_dataset import is_saved_dataset, list_saved_dataset
from featx.data.sources.columns import ColumnChoice, check_unchosen
from featx.data.sources.csv_file import is_csv_file, list_csv
from featx.data.sources.digits import is_digits, list_digits
from featx.data.sources.folder import list_folder
from featx.data.sources.image_files import MAX_IMAGE_BYTES, is_system_file, read_file
from featx.data.sources.jsonl_file import is_jsonl_file, list_jsonl
from featx.data.sources.metadata import list_metadata
from featx.data.sources.web.web_table import is_web, list_web
from featx.errors import DataError, FeatxError
from featx.paths import exists, expand_home, explain_absence, is_file, is_folder

__all__ = [
    "MAX_IMAGE_BYTES",
    "SOURCES",
    "TABLES",
    "ColumnChoice",
    "check_data",
    "is_built_in",
    "is_system_file",
    "list_images",
    "read_file",
]


class Source(NamedTuple):
    """A kind of DATA.

    Attributes
    ----------
    is_of_kind : callable
        Whether DATA is of this kind.
    list_rows : callable
        DATA, the feature store in use or None, whether what is no picture is listed, and columns that the user named,
        to a listing.
    """

    is_of_kind: Callable[[str], bool]
    list_rows: Callable[[str, Path | None, bool, ColumnChoice], Listing]


def list_any_folder(data: str, cache: Path | None, strict: bool, choice: ColumnChoice) -> Listing:
    """List a folder by the table in it, or by its class folders."""
    listing = list_metadata(data, choice)
    if listing is not None:
        return listing
    check_unchosen(data, choice)
    return list_folder(data, cache, strict)


def list_built_in(data: str, cache: Path | None, strict: bool, choice: ColumnChoice) -> Listing:
    """List a built-in data set."""
    check_unchosen(data, choice)
    return list_digits(data)


def list_any_shards(data: str, cache: Path | None, strict: bool, choice: ColumnChoice) -> Listing:
    """List tar shards."""
    check_unchosen(data, choice)
    return list_shards(data, cache, strict)


SOURCES: dict[str, Source] = {
    "digits": Source(is_digits, list_built_in),
    "web": Source(is_web, list_web),
    "bucket": Source(is_bucket, list_bucket),
    "zip": Source(is_zip, lambda data, cache, strict, choice: list_zip(data, strict, choice)),
    "shards": Source(is_shards, list_any_shards),
    "folder": Source(is_folder, list_any_folder),
}
"""Kind of source by its name. The first kind that fits is taken."""

TABLES: dict[str, tuple[Callable[[str], bool], Callable[[str, ColumnChoice], Listing]]] = {
    "csv": (is_csv_file, list_csv),
    "jsonl": (is_jsonl_file, list_jsonl),
    "parquet": (is_parquet, list_parquet),
    "saved dataset": (is_saved_dataset, list_saved_dataset),
}
"""Kinds of files that list images, in whose columns the user may choose."""

BUILT_IN = "builtin:"
"""What DATA begins with where it names a built-in data set, whatever lies in the current folder."""


def is_built_in(data: str) -> bool:
    """Whether DATA is the name of a built-in data set and no path; a folder of the same name does not matter."""
    return data == "digits" or data.startswith(BUILT_IN)


def list_images(
    data: str, cache: Path | None = None, strict: bool = False, choice: ColumnChoice | None = None
) -> Listing:
    """List the rows of DATA: a folder, an archive, a table, or the name of a built-in data set.

    Parameters
    ----------
    data : str
        As the user gave it.
    cache : pathlib.Path, optional
        The feature store in use, which is never listed.
    strict : bool
        Whether files in class folders that are not pictures are listed, and so fail.
    choice : ColumnChoice, optional
        Columns of a table that the user named.

    Returns
    -------
    Listing
        No image has been read yet.

    Raises
    ------
    DataError
        If DATA is none of these, is empty or cannot be read.
    """
    data = expand_home(data)
    try:
        listing = list_source_rows(data, cache, strict, ColumnChoice() if choice is None else choice)
    except OSError as error:
        if isinstance(error, FeatxError):
            raise
        where = error.filename if error.filename is not None else data
        raise DataError(f"'{where}' cannot be read: {error.strerror or error}") from error
    if listing is None:
        raise no_data_set(data)
    return listing


def check_data(data: str) -> None:
    """Raise DataError where DATA is of no kind that is listed; nothing of it is read but its name and kind."""
    data = expand_home(data)
    kinds = [*(is_of_kind for is_of_kind, _ in TABLES.values()), *(source.is_of_kind for source in SOURCES.values())]
    if not any(is_of_kind(data) for is_of_kind in kinds):
        raise no_data_set(data)


def no_data_set(data: str) -> DataError:
    """Build the error for DATA that is of no kind."""
    if data.startswith(BUILT_IN):
        return DataError(f"there is no built-in data set '{data.removeprefix(BUILT_IN)}': there is 'digits'")
    message = (
        f"'{data}' {explain_unfit(data)}: DATA is a folder with class folders, or a zip file of one; a CSV file "
        "(path,label[,split]) or a JSON Lines file, also at https://; tar shards or Parquet files; the URL of a "
        "bucket; or 'digits'"
    )
    absence = "" if exists(data) else explain_absence(data, ["digits"])
    return DataError(f"{message}. {absence}" if absence else message)


def list_source_rows(data: str, cache: Path | None, strict: bool, choice: ColumnChoice) -> Listing | None:
    """List DATA by the source that it is of; None if it is of none."""
    for is_of_this_kind, list_rows in TABLES.values():
        if is_of_this_kind(data):
            return list_rows(data, choice)
    for source in SOURCES.values():
        if source.is_of_kind(data):
            return source.list_rows(data, cache, strict, choice)
    return None


def explain_unfit(data: str) -> str:
    """Say what DATA is instead of a data set."""
    if is_file(data):
        return "is a file, but not a .csv, .jsonl, .zip, .tar or .parquet"
    return "is neither a file nor a folder" if exists(data) else "does not exist"
